#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "fs/volume.h"

#include "fs/create_dir.h"

#define CREATE_ID "create.id"
#define CREATE_ID_TEXT (2 * PLURI_ID_BYTES)
#define CREATE_DB VOLUME_DB ".new"

static const char *const create_drafts[] = {
	CREATE_DB, CREATE_DB "-wal", CREATE_DB "-shm", CREATE_DB "-journal"};

struct create_dir {
	const char *path; /* the configuration's */
	char draft[CONFIG_PATH_MAX + sizeof(CREATE_DB) + 1];
	int fd;
	int lock_fd;
	bool made; /* by us, now */
	bool keep;
};

static int create_dir_fail(const struct create_dir *d, const char *what, int e,
	struct pluri_err *err)
{
	return pluri_fail(err, e, "state directory %.300s: %s: %s", d->path,
		what, strerror(e));
}

/* Parents, then itself; *ret_made: the last part was not there. */
static int create_dir_make(const char *path, bool *ret_made)
{
	char part[CONFIG_PATH_MAX];
	char *p = part;

	(void)snprintf(part, sizeof(part), "%s", path);
	while ((p = strchr(p + 1, '/'))) {
		*p = 0;
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	*ret_made = mkdir(part, 0700) == 0;
	return *ret_made || errno == EEXIST ? 0 : -errno;
}

/* A directory that was there: it must be ours alone. */
static int create_dir_judge(const struct create_dir *d, struct pluri_err *err)
{
	struct stat st;

	if (fstat(d->fd, &st) < 0)
		return create_dir_fail(d, "looking at it", errno, err);
	if (st.st_uid != geteuid() || (st.st_mode & S_ISVTX) != 0)
		return pluri_fail(err, EACCES,
			"state directory %.300s: belongs to user %u or is "
			"shared: give the volume a directory of its own",
			d->path, (unsigned)st.st_uid);
	if ((st.st_mode & 077) != 0 && fchmod(d->fd, 0700) < 0)
		return create_dir_fail(d, "chmod 700", errno, err);
	return 0;
}

static int create_dir_lock(struct create_dir *d, struct pluri_err *err)
{
	d->lock_fd =
		openat(d->fd, VOLUME_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (d->lock_fd < 0)
		return create_dir_fail(d, "its lock", errno, err);
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return create_dir_fail(d, "its lock", errno, err);
	return pluri_fail(err, EBUSY,
		"state directory %.300s: a volume is open or being made there",
		d->path);
}

static int create_dir_vacant(const struct create_dir *d, struct pluri_err *err)
{
	if (faccessat(d->fd, VOLUME_DB, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return pluri_fail(err, EEXIST,
			"state directory %.300s already holds a volume: it is "
			"changed with plan and apply; for another volume, "
			"choose another name or state directory",
			d->path);
	return errno == ENOENT ? 0 : create_dir_fail(d, VOLUME_DB, errno, err);
}

int create_dir_open(
	const struct config *c, struct create_dir **ret, struct pluri_err *err)
{
	pluri_auto(create_dir) d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return pluri_fail(err, ENOMEM, "state directory: no memory");
	d->path = c->state;
	d->fd = -1;
	d->lock_fd = -1;
	r = create_dir_make(c->state, &d->made);
	if (r < 0)
		return create_dir_fail(d, "making it", -r, err);
	d->fd = open(c->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0)
		return create_dir_fail(d, "opening it", errno, err);
	r = create_dir_vacant(d, err);
	if (r == 0)
		r = create_dir_judge(d, err);
	if (r == 0)
		r = create_dir_lock(d, err);
	if (r == 0) /* again: somebody may just have finished */
		r = create_dir_vacant(d, err);
	if (r == 0 && mkdirat(d->fd, VOLUME_PACKS, 0700) < 0 && errno != EEXIST)
		r = create_dir_fail(d, VOLUME_PACKS, errno, err);
	if (r < 0)
		return r;
	*ret = pluri_steal(d);
	return 0;
}

static void create_dir_undraft(struct create_dir *d)
{
	for (size_t i = 0; i < sizeof(create_drafts) / sizeof(char *); i++)
		(void)unlinkat(d->fd, create_drafts[i], 0);
}

void create_dir_free(struct create_dir *d)
{
	if (!d)
		return;
	if (!d->keep && d->lock_fd >= 0) {
		create_dir_undraft(d);
		(void)unlinkat(d->fd, VOLUME_PACKS, AT_REMOVEDIR);
		if (d->made)
			(void)unlinkat(d->fd, VOLUME_LOCK, 0);
	}
	if (!d->keep && d->made)
		(void)rmdir(d->path);
	if (d->lock_fd >= 0)
		(void)close(d->lock_fd);
	if (d->fd >= 0)
		(void)close(d->fd);
	free(d);
}

void create_dir_keep(struct create_dir *d)
{
	d->keep = true;
}

int create_dir_recall(struct create_dir *d, struct pluri_id *id,
	bool *ret_again, struct pluri_err *err)
{
	char text[CREATE_ID_TEXT + 1] = "";
	struct pluri_id old;
	ssize_t n;
	int fd;

	*ret_again = false;
	fd = openat(d->fd, CREATE_ID, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return create_dir_fail(d, CREATE_ID, errno, err);
	n = read(fd, text, CREATE_ID_TEXT);
	(void)close(fd);
	/* torn: it was not on disk yet, so nothing was claimed either */
	if (n != CREATE_ID_TEXT || text_unhex(text, old.b, sizeof(old.b)) < 0)
		return 0;
	*id = old;
	*ret_again = true;
	return 0;
}

int create_dir_remember(
	struct create_dir *d, const struct pluri_id *id, struct pluri_err *err)
{
	char text[CREATE_ID_TEXT + 1];
	int e = 0;
	int fd;

	fd = openat(d->fd, CREATE_ID,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return create_dir_fail(d, CREATE_ID, errno, err);
	(void)text_hex(id->b, sizeof(id->b), text);
	if (write(fd, text, CREATE_ID_TEXT) != CREATE_ID_TEXT)
		e = errno ? errno : ENOSPC;
	else if (fsync(fd) < 0 || fsync(d->fd) < 0)
		e = errno;
	(void)close(fd);
	return e ? create_dir_fail(d, CREATE_ID, e, err) : 0;
}

void create_dir_forget(struct create_dir *d)
{
	(void)unlinkat(d->fd, CREATE_ID, 0);
}

int create_dir_draft(
	struct create_dir *d, const char **ret, struct pluri_err *err)
{
	const int n = snprintf(
		d->draft, sizeof(d->draft), "%s/%s", d->path, CREATE_DB);

	if (n < 0 || (size_t)n >= sizeof(d->draft))
		return create_dir_fail(d, "its path", ENAMETOOLONG, err);
	create_dir_undraft(d);
	*ret = d->draft;
	return 0;
}

int create_dir_publish(struct create_dir *d, struct pluri_err *err)
{
	/* a write-ahead log left behind belongs to the database's old name */
	if (faccessat(d->fd, CREATE_DB "-wal", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return pluri_fail(err, EIO,
			"state directory %.300s: the new database was not "
			"closed cleanly",
			d->path);
	if (renameat(d->fd, CREATE_DB, d->fd, VOLUME_DB) < 0)
		return create_dir_fail(d, VOLUME_DB, errno, err);
	create_dir_keep(d);
	if (fsync(d->fd) < 0)
		return create_dir_fail(d, "fsync", errno, err);
	create_dir_forget(d);
	return 0;
}
