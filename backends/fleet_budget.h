/*
 * backends/fleet_budget.h - how many requests may be asked beyond those that
 * were needed: one for twenty.
 *
 * Each needed request earns a twentieth of one more, up to ten. Asking since a
 * store is slow spends one; a must spends it even when there is none, which
 * the next ones pay for. Pure.
 */
#ifndef PLURI_BACKENDS_FLEET_BUDGET_H
#define PLURI_BACKENDS_FLEET_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct fleet_budget {
	int32_t left; /* twentieths of a request */
};

void fleet_budget_init(struct fleet_budget *b); /* full */
void fleet_budget_earn(struct fleet_budget *b, unsigned requests);
bool fleet_budget_spend(struct fleet_budget *b, bool must);
/* For what is only curious: leaves a quarter of the budget to the slow. */
bool fleet_budget_spare(struct fleet_budget *b);

#endif
