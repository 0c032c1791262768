/*
 * write_sync.c - a file's bytes made as durable as its policy wants.
 */
#include "fs/commit.h"
#include "fs/node_int.h"
#include "fs/roster.h"
#include "fs/staging.h"
#include "fs/upload.h"
#include "fs/write.h"

/* At quorum in the clouds, too, when the node's policy says so. */
static int write_sync_cloud(struct volume *v, struct node *n,
	int (*stop)(void *arg), void *arg, struct pluri_err *err)
{
	struct roster_policy pol;
	struct owing owing;
	uint32_t policy;
	int r;

	(void)pthread_mutex_lock(&n->lock);
	r = node_know(v, n, err); /* or what it owes is not known either */
	policy = n->policy;
	owing = n->owing;
	(void)pthread_mutex_unlock(&n->lock);
	if (r < 0)
		return r;
	if (roster_policy(v->roster, policy, &pol) < 0 ||
		pol.text.durability != DURABILITY_CLOUD)
		return 0;
	if (owing.n > 0 || owing.upto > 0)
		r = staging_close(v->staging, err);
	if (r >= 0 && owing.upto > 0)
		r = upload_wait(v->upload, owing.upto, false, UINT64_MAX, stop,
			arg, err);
	if (r >= 0)
		r = upload_wait_packs(
			v->upload, owing.pack, owing.n, stop, arg, err);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&n->lock);
	owing_settle(&n->owing, &owing);
	(void)pthread_mutex_unlock(&n->lock);
	return 0;
}

int write_sync(struct volume *v, struct node *n, int (*stop)(void *arg),
	void *arg, struct pluri_err *err)
{
	uint64_t bytes;
	int r;

	(void)pthread_mutex_lock(&n->lock);
	bytes = n->dirty.bytes + n->flight.bytes;
	(void)pthread_mutex_unlock(&n->lock);
	staging_hurry(v->staging, bytes);
	r = write_flush(v, n, err);
	if (r >= 0)
		r = commit_now(v->commit, true, err);
	if (r >= 0)
		r = write_sync_cloud(v, n, stop, arg, err);
	return r;
}
