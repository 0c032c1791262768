#include <errno.h>
#include <stdlib.h>

#include "fs/balance_job.h"

int balance_new(struct volume *v, struct balance **ret, struct pluri_err *err)
{
	struct balance *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return pluri_fail(err, ENOMEM, "balance: no memory");
	b->v = v;
	(void)pthread_mutex_init(&b->apply_lock, NULL);
	(void)pthread_mutex_init(&b->lock, NULL);
	clock_cond_init(&b->wake);
	r = work_new(BALANCE_MOVERS, "move", &b->movers, err);
	if (r < 0) {
		balance_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void balance_free(struct balance *b)
{
	if (!b)
		return;
	(void)pthread_mutex_lock(&b->lock);
	b->stop = true;
	(void)pthread_cond_broadcast(&b->wake);
	(void)pthread_mutex_unlock(&b->lock);
	if (b->joinable)
		(void)pthread_join(b->thread, NULL);
	work_free(b->movers);
	(void)pthread_cond_destroy(&b->wake);
	(void)pthread_mutex_destroy(&b->lock);
	(void)pthread_mutex_destroy(&b->apply_lock);
	free(b);
}
