/* A disk that fails while it is flushed by several at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fs/commit.h"
#include "fs/staging.h"
#include "fs/write.h"
#include "tests/unit/fs/house.h"

#define FDS 1024
#define OTHER_MS 500 /* for the other flush to come, if it does */

static _Atomic bool failing;
static _Atomic bool told[FDS];
static sem_t first, second;

static bool is_pack(int fd)
{
	char at[64];
	char path[512] = "";

	(void)snprintf(at, sizeof(at), "/proc/self/fd/%d", fd);
	return readlink(at, path, sizeof(path) - 1) > 0 &&
	       strstr(path, ".pack") != NULL;
}

/* As the kernel does: a failed write is told once to each open file. It is told
 * late, so that whoever flushes the same one is not told. */
int fdatasync(int fd)
{
	struct timespec until;

	if (!atomic_load(&failing) || fd >= FDS || !is_pack(fd))
		return (int)syscall(SYS_fdatasync, fd);
	if (atomic_exchange(&told[fd], true)) {
		(void)sem_post(&second);
		return 0;
	}
	(void)sem_post(&first);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += OTHER_MS * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	(void)sem_timedwait(&second, &until);
	errno = EIO;
	return -1;
}

static void *closer(void *arg)
{
	struct house *h = arg;

	(void)staging_close(h->v->staging, NULL);
	return NULL;
}

static void fsync__pack_closes_on_a_bad_disk__eio(void **state)
{
	static uint8_t data[300 << 10];
	pthread_t thread;
	struct house h;
	struct node *n;
	int r;

	(void)state;
	(void)sem_init(&first, 0, 0);
	(void)sem_init(&second, 0, 0);
	house_new(&h, "", "layout = mirror:1\nstores = a\npack_age = 60s");
	n = house_file(&h, "x");
	house_noise(1, data, sizeof(data));
	house_write(&h, n, 0, data, sizeof(data));
	assert_int_equal(write_flush(h.v, n, NULL), 0);
	atomic_store(&failing, true);
	assert_int_equal(pthread_create(&thread, NULL, closer, &h), 0);
	(void)sem_wait(&first);
	r = write_sync(h.v, n, NULL, NULL, NULL);
	assert_int_equal(pthread_join(thread, NULL), 0);
	atomic_store(&failing, false);
	assert_int_equal(r, -EIO);
	assert_int_equal(commit_broken(h.v->commit, NULL), -EIO);
	node_unpin(h.v->nodes, n);
	house_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fsync__pack_closes_on_a_bad_disk__eio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
