/*
 * SQLite: a database that is opened is read into the kernel's cache.
 *
 * Names and inodes of files here and there lie on pages here and there, and
 * the disk is asked for each by itself; from one end to the other it gives
 * them a hundred times as fast. A thread of its own does that, so that nobody
 * waits; it stops when the database is closed.
 *
 * Closing any descriptor of the file drops the locks that this process has on
 * it. So one is opened only once the lock is known to be ours, which the same
 * file, opened again, would not get; and closed after SQLite has.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "meta/db_sqlite_int.h"

#define WARM_MIN ((off_t)1 << 20) /* bytes; less is there at once */
#define WARM_MAX ((off_t)512 << 20) /* of cache is enough */
#define WARM_STEP ((off_t)128 << 10) /* the kernel cuts what is longer */

struct db_warm {
	pthread_t thread;
	off_t end;
	int fd; /* stays open, whether the thread has started or not */
	bool started;
	atomic_bool stop;
};

static void *warm_main(void *arg)
{
	struct db_warm *w = arg;

	for (off_t at = 0; at < w->end && !atomic_load(&w->stop);
		at += WARM_STEP)
		if (posix_fadvise(w->fd, at, WARM_STEP, POSIX_FADV_WILLNEED))
			break;
	return NULL;
}

/* Whatever fails: it is as cold as it was. */
struct db_warm *db_sqlite_warm_start(const char *path)
{
	struct db_warm *w;
	struct stat st;

	if (stat(path, &st) < 0 || st.st_size < WARM_MIN)
		return NULL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->end = st.st_size < WARM_MAX ? st.st_size : WARM_MAX;
	w->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (w->fd < 0) {
		free(w);
		return NULL;
	}
	w->started = pthread_create(&w->thread, NULL, warm_main, w) == 0;
	if (w->started)
		(void)pthread_setname_np(w->thread, "warm");
	return w;
}

void db_sqlite_warm_end(struct db_warm *w)
{
	if (!w)
		return;
	atomic_store(&w->stop, true);
	if (w->started)
		(void)pthread_join(w->thread, NULL);
	(void)close(w->fd);
	free(w);
}
