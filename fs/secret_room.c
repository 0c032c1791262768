#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "fs/secret_int.h"

int secret_room_new(struct secret_room *r, struct pluri_err *err)
{
	void *p = mmap(NULL, SECRET_MAX + 1, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return pluri_fail(err, ENOMEM, "no memory for a secret");
	(void)madvise(p, SECRET_MAX + 1, MADV_DONTDUMP);
	/* Out of swap, too, where the limit on locked memory lets us. */
	(void)mlock(p, SECRET_MAX + 1);
	r->data = p;
	r->len = 0;
	return 0;
}

void secret_room_free(struct secret_room *r)
{
	if (!r->data)
		return;
	secret_wipe(r->data, SECRET_MAX + 1);
	(void)munmap(r->data, SECRET_MAX + 1);
	r->data = NULL;
	r->len = 0;
}
