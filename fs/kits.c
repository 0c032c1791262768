#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/kits.h"

struct kits {
	pthread_mutex_t lock; /* guards the rest */
	unsigned n[KITS_KINDS];
	struct encode_kit *idle[KITS_KINDS][KITS_IDLE];
};

int kits_new(struct kits **ret, struct pluri_err *err)
{
	struct kits *k = calloc(1, sizeof(*k));

	if (!k)
		return pluri_fail(err, ENOMEM, "kits: no memory");
	(void)pthread_mutex_init(&k->lock, NULL);
	*ret = k;
	return 0;
}

void kits_free(struct kits *k)
{
	if (!k)
		return;
	for (unsigned kind = 0; kind < KITS_KINDS; kind++)
		while (k->n[kind] > 0)
			encode_kit_free(k->idle[kind][--k->n[kind]]);
	(void)pthread_mutex_destroy(&k->lock);
	free(k);
}

struct encode_kit *kits_take(struct kits *k, enum kits_kind kind)
{
	struct encode_kit *kit = NULL;

	(void)pthread_mutex_lock(&k->lock);
	if (k->n[kind] > 0) /* the last one, whose memory is the warmest */
		kit = k->idle[kind][--k->n[kind]];
	(void)pthread_mutex_unlock(&k->lock);
	return kit ? kit : encode_kit_new();
}

void kits_give(struct kits *k, enum kits_kind kind, struct encode_kit *kit)
{
	(void)pthread_mutex_lock(&k->lock);
	if (kit && k->n[kind] < KITS_IDLE)
		k->idle[kind][k->n[kind]++] = pluri_steal(kit);
	(void)pthread_mutex_unlock(&k->lock);
	encode_kit_free(kit);
}
