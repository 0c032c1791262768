#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "fs/bdi.h"
#include "fs/commit.h"
#include "fs/control.h"
#include "fs/fuse.h"
#include "fs/merge.h"
#include "fs/mount.h"
#include "fs/repack.h"
#include "fs/staging.h"
#include "fs/upload.h"
#include "fs/volume.h"
#include "fs/write.h"

#define MOUNT_OPTIONS_MAX 16384u
#define MOUNT_ARENAS 2
#define MOUNT_KEEP (32 << 20) /* bytes of free memory in each */
#define MOUNT_LINGER_MS 10000u /* for uploads after an unmount */
#define MOUNT_AHEAD_KIB 512u

/* --- options ------------------------------------------------------------- */

/* What kernel and libfuse understand; a '=' at the end takes a value. */
static const char *const mount_known[] = {"allow_other", "auto_unmount", "ro",
	"rw", "dev", "nodev", "suid", "nosuid", "exec", "noexec", "atime",
	"noatime", "diratime", "nodiratime", "relatime", "norelatime",
	"strictatime", "nostrictatime", "lazytime", "sync", "async", "dirsync",
	"debug", "default_permissions", "nonempty", "fsname", "subtype",
	"max_read", "context", "fscontext", "defcontext", "rootcontext", NULL};

/* For mount(8) and systemd alone: accepted and dropped. */
static const char *const mount_fstab[] = {"defaults", "auto", "noauto", "user",
	"nouser", "users", "owner", "group", "nofail", "_netdev", "noiversion",
	NULL};

/* Ours. */
static const char *const mount_ours[] = {"writeback", "nowriteback", NULL};

static bool mount_listed(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static int mount_option(struct buf *to, const char *word, bool *ret_nonempty,
	struct pluri_err *err)
{
	char name[PLURI_NAME_MAX + 1];
	const char *near;

	(void)snprintf(
		name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	if (name[0] == 0 || mount_listed(mount_fstab, name) ||
		mount_listed(mount_ours, name) || strncmp(name, "x-", 2) == 0)
		return 0;
	if (strcmp(name, "nonempty") == 0) {
		*ret_nonempty = true;
		return 0;
	}
	if (mount_listed(mount_known, name))
		return buf_fmt(to, ",%s", word);
	near = text_nearest(name, mount_known);
	return pluri_fail(err, EINVAL, "mount option \"%s\" is not known%s%s%s",
		name, near ? ": did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
}

/* The last word of a pair counts. */
static bool mount_wish(
	const char *options, const char *word, const char *opposite)
{
	pluri_auto_mem char *copy = strdup(options ? options : "");
	char *rest = copy;
	char *one;
	bool yes = false;

	while (copy && (one = strsep(&rest, ",")) != NULL)
		if (strcmp(one, word) == 0)
			yes = true;
		else if (strcmp(one, opposite) == 0)
			yes = false;
	return yes;
}

/* libfuse splits at commas and takes backslashes as escapes. */
static int mount_escape(struct buf *to, const char *s)
{
	int r = 0;

	for (; *s && r >= 0; s++) {
		if (*s == ',' || *s == '\\')
			r = buf_add(to, "\\", 1);
		if (r >= 0)
			r = buf_add(to, s, 1);
	}
	return r;
}

static int mount_options(const struct config *c, const struct mount_request *q,
	struct buf *to, bool *ret_nonempty, struct pluri_err *err)
{
	pluri_auto_mem char *copy = strdup(q->options ? q->options : "");
	char *rest = copy;
	char *word;
	int r;

	if (!copy)
		return pluri_fail(err, ENOMEM, "mount: no memory");
	r = buf_str(to, "default_permissions,subtype=pluri,fsname=pluri:");
	if (r >= 0)
		r = mount_escape(to, c->file);
	while (r >= 0 && (word = strsep(&rest, ",")) != NULL) {
		r = mount_option(to, word, ret_nonempty, err);
		if (r == -EINVAL)
			return r;
	}
	return r < 0 ? pluri_fail(err, -r, "mount options: %s", strerror(-r))
		     : 0;
}

/* --- the mount point ----------------------------------------------------- */

static int mount_empty(const char *dir, struct pluri_err *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	if (!d)
		return pluri_fail(
			err, errno, "mount point %s: %s", dir, strerror(errno));
	while (r == 0 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = pluri_fail(err, ENOTEMPTY,
				"mount point %s is not "
				"empty: choose another directory, or mount "
				"over it with -o nonempty",
				dir);
	(void)closedir(d);
	return r;
}

/* Is dir the root of a mount already? Its parent is then another device. */
static bool mount_busy(const char *dir, const struct stat *st)
{
	char up[CONFIG_PATH_MAX + 4];
	struct stat parent;

	(void)snprintf(up, sizeof(up), "%s/..", dir);
	return stat(up, &parent) == 0 && parent.st_dev != st->st_dev;
}

static int mount_point(const char *dir, bool nonempty, struct pluri_err *err)
{
	struct stat st;

	if (stat(dir, &st) < 0 && errno == ENOTCONN)
		return pluri_fail(err, ENOTCONN,
			"mount point %s is left over "
			"from a daemon that died: run `fusermount3 -u %s`",
			dir, dir);
	if (stat(dir, &st) < 0)
		return pluri_fail(
			err, errno, "mount point %s: %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return pluri_fail(err, ENOTDIR,
			"mount point %s is not a "
			"directory",
			dir);
	if (mount_busy(dir, &st))
		return pluri_fail(err, EBUSY,
			"something is mounted at %s "
			"already",
			dir);
	return nonempty ? 0 : mount_empty(dir, err);
}

/* --- serving ------------------------------------------------------------- */

/* Keys and plain bytes are in memory: no core dumps, no ptrace by others. */
static void mount_harden(void)
{
	const struct rlimit none = {0, 0};
	struct rlimit files;

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

/*
 * Buffers of some MiB come and go with each flush. Left to itself, malloc gives
 * their pages back every time, to fault them in anew, and has a heap for every
 * thread, each with its own rest. Must be said before there are threads.
 */
static void mount_memory(void)
{
#ifdef __GLIBC__
	(void)mallopt(M_ARENA_MAX, MOUNT_ARENAS);
	(void)mallopt(M_MMAP_THRESHOLD, MOUNT_KEEP);
	(void)mallopt(M_TRIM_THRESHOLD, MOUNT_KEEP);
#endif
}

static void mount_ready(const struct mount_request *q)
{
	const char zero = 0;

	if (q->ready_fd < 0)
		return;
	if (write(q->ready_fd, &zero, 1) != 1)
		log_line(LOG_DEBUG, "nobody waits for the mount any more");
	(void)close(q->ready_fd);
}

/*
 * Unmounted: what is left goes to the clouds for a while, as long as they
 * take it; the rest after the next mount.
 */
static void mount_linger(struct volume *v)
{
	struct pluri_err err = {0};
	const uint64_t until = clock_mono_ms(v->clock) + MOUNT_LINGER_MS;

	volume_leave(v);
	if (write_flush_all(v, &err) < 0 ||
		staging_close(v->staging, &err) < 0 ||
		upload_wait(v->upload, UINT64_MAX, true, until, NULL, NULL,
			&err) < 0)
		log_line(LOG_INFO,
			"unmounted; the rest is sent after the next "
			"mount: %s",
			err.text);
}

/* Work that nobody asked for. Read-only, there is none: what was begun before
 * ends (debts, moves, cuts), and nothing new is. */
static int mount_gather(
	struct volume *v, const struct mount_request *q, struct pluri_err *err)
{
	int r;

	if (mount_wish(q->options, "ro", "rw"))
		return 0;
	r = repack_start(v->repack, err);
	return r < 0 ? r : merge_start(v->merge, err);
}

static int mount_serve(struct volume *v, const struct mount_request *q,
	const char *options, struct pluri_err *err)
{
	struct control *control = NULL;
	struct fuse *fuse = NULL;
	int r = fuse_start(v, q->dir, options, &fuse, err);

	if (r < 0)
		return r;
	(void)snprintf(v->mounted, sizeof(v->mounted), "%s", q->dir);
	if (bdi_ahead(q->dir, MOUNT_AHEAD_KIB) < 0)
		log_line(LOG_DEBUG, "the kernel reads ahead as it likes");
	r = control_start(v, &control, err);
	if (r >= 0)
		r = mount_gather(v, q, err);
	if (r >= 0) {
		log_line(LOG_INFO, "volume %s is mounted at %s",
			v->config->name, q->dir);
		mount_ready(q);
		r = fuse_serve(fuse, err);
	}
	fuse_stop(fuse);
	merge_stop(v->merge); /* or it would add to what is waited for */
	repack_stop(v->repack);
	if (r >= 0)
		mount_linger(v);
	control_stop(control);
	return r;
}

/* A copy, since an open volume owns its configuration. */
static int mount_open(
	const struct config *c, struct volume **ret, struct pluri_err *err)
{
	struct config *copy = malloc(sizeof(*copy));
	int r;

	if (!copy)
		return pluri_fail(err, ENOMEM, "mount: no memory");
	*copy = *c;
	r = volume_open(copy, ret, err);
	if (r < 0)
		free(copy);
	return r;
}

int mount_volume(const struct config *c, const struct mount_request *q,
	struct pluri_err *err)
{
	pluri_auto(volume) v = NULL;
	struct buf options;
	bool nonempty = false;
	int closed;
	int r;

	mount_harden();
	mount_memory();
	buf_init(&options, MOUNT_OPTIONS_MAX);
	r = mount_options(c, q, &options, &nonempty, err);
	if (r >= 0)
		r = mount_point(q->dir, nonempty, err);
	if (r >= 0)
		r = mount_open(c, &v, err);
	if (r >= 0) {
		v->noatime = mount_wish(q->options, "noatime", "atime") ||
			     mount_wish(q->options, "ro", "rw");
		v->writeback =
			!mount_wish(q->options, "nowriteback", "writeback");
		r = mount_serve(v, q, buf_text(&options), err);
	}
	if (v) {
		closed = volume_close(v, r < 0 ? NULL : err);
		r = r < 0 ? r : closed;
	}
	buf_free(&options);
	return r;
}
