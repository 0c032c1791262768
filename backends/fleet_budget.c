#include "backends/fleet_budget.h"

#define BUDGET_REQUEST 20
#define BUDGET_MAX (10 * BUDGET_REQUEST)

void fleet_budget_init(struct fleet_budget *b)
{
	b->left = BUDGET_MAX;
}

void fleet_budget_earn(struct fleet_budget *b, unsigned requests)
{
	b->left += requests < BUDGET_MAX ? (int32_t)requests : BUDGET_MAX;
	if (b->left > BUDGET_MAX)
		b->left = BUDGET_MAX;
}

bool fleet_budget_spend(struct fleet_budget *b, bool must)
{
	if (b->left < BUDGET_REQUEST && !must)
		return false;
	b->left -= BUDGET_REQUEST;
	if (b->left < -BUDGET_MAX)
		b->left = -BUDGET_MAX;
	return true;
}

bool fleet_budget_spare(struct fleet_budget *b)
{
	return b->left > BUDGET_MAX / 4 && fleet_budget_spend(b, false);
}
