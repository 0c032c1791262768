#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crew.h"
#include "base/log.h"
#include "base/text.h"
#include "fs/balance.h"
#include "fs/cache.h"
#include "fs/commit.h"
#include "fs/fsck.h"
#include "fs/merge.h"
#include "fs/node.h"
#include "fs/read.h"
#include "fs/repack.h"
#include "fs/kits.h"
#include "fs/roster.h"
#include "fs/secret.h"
#include "fs/staging.h"
#include "fs/stats.h"
#include "fs/sync.h"
#include "fs/trim.h"
#include "fs/upload.h"
#include "fs/watch.h"
#include "fs/write.h"
#include "fs/xattr.h"

#define VOLUME_LEAVING "leaving"
#define VOLUME_LEAVE_MS 20000u
#define VOLUME_CREW 15u /* threads */

/* --- the state directory and its lock ------------------------------------ */

static int volume_lock_pid(int fd)
{
	char text[16] = {0};
	uint64_t pid = 0;

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	text[strcspn(text, " \n")] = 0;
	return text_uint(text, INT32_MAX, &pid, NULL) < 0 ? 0 : (int)pid;
}

int volume_locked(const struct config *c, int *ret_pid)
{
	char path[CONFIG_PATH_MAX + sizeof(VOLUME_LOCK) + 1];
	int locked;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/" VOLUME_LOCK, c->state);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	locked = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	*ret_pid = locked ? volume_lock_pid(fd) : 0;
	(void)close(fd);
	return locked;
}

static int volume_state(struct volume *v, struct pluri_err *err)
{
	const char *state = v->config->state;
	struct stat st;

	v->state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->state_fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return pluri_fail(err, ENOENT,
			"volume %s: there is no state "
			"in %s: make the volume with `pluri create %s`, or "
			"correct `state` in %s",
			v->config->name, state, v->config->file,
			v->config->file);
	if (v->state_fd < 0)
		return pluri_fail(err, errno, "state directory %s: %s", state,
			strerror(errno));
	if (fstatat(v->state_fd, VOLUME_DB, &st, 0) < 0 &&
		fstatat(v->state_fd, VOLUME_PACKS, &st, 0) == 0)
		return pluri_fail(err, ENOENT,
			"volume %s: the database %s/" VOLUME_DB " is lost, "
			"and with it every name: restore it from a backup of "
			"the state directory; do not make the volume anew",
			v->config->name, state);
	if (fstatat(v->state_fd, VOLUME_DB, &st, 0) < 0)
		return pluri_fail(err, errno,
			"volume %s: no database in %s (%s): make the volume "
			"with `pluri create %s`",
			v->config->name, state, strerror(errno),
			v->config->file);
	if (faccessat(v->state_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return pluri_fail(err, EACCES, "state directory %s: %s", state,
			strerror(errno));
	return 0;
}

/* One that is leaving gets some time; anyone else has it. */
static int volume_flock(struct volume *v)
{
	const uint64_t until = clock_mono_ms(clock_system()) + VOLUME_LEAVE_MS;
	const struct timespec tick = {.tv_nsec = 50000000};

	while (flock(v->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		char text[32] = {0};

		if (pread(v->lock_fd, text, sizeof(text) - 1, 0) < 0 ||
			!strstr(text, VOLUME_LEAVING) ||
			clock_mono_ms(clock_system()) > until)
			return -EBUSY;
		(void)nanosleep(&tick, NULL);
	}
	return 0;
}

void volume_leave(struct volume *v)
{
	char text[32];
	const int n = snprintf(
		text, sizeof(text), "%d " VOLUME_LEAVING "\n", (int)getpid());

	if (pwrite(v->lock_fd, text, (size_t)n, 0) != n)
		log_line(LOG_DEBUG, "lock file: %s", strerror(errno));
}

static int volume_take_lock(struct volume *v, struct pluri_err *err)
{
	char pid[16];
	int n;

	v->lock_fd = openat(v->state_fd, VOLUME_LOCK,
		O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (v->lock_fd < 0)
		return pluri_fail(err, errno, "%s/" VOLUME_LOCK ": %s",
			v->config->state, strerror(errno));
	if (volume_flock(v) < 0)
		return pluri_fail(err, EBUSY,
			"volume %s is in use by process "
			"%d on this machine",
			v->config->name, volume_lock_pid(v->lock_fd));
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(v->lock_fd, 0) < 0 ||
		pwrite(v->lock_fd, pid, (size_t)n, 0) != n)
		return pluri_fail(err, errno ? errno : ENOSPC,
			"%s/" VOLUME_LOCK ": %s", v->config->state,
			strerror(errno));
	return 0;
}

static int volume_packs_dir(struct volume *v, struct pluri_err *err)
{
	if (mkdirat(v->state_fd, VOLUME_PACKS, 0700) < 0 && errno != EEXIST)
		return pluri_fail(err, errno, "%s/" VOLUME_PACKS ": %s",
			v->config->state, strerror(errno));
	v->packs_fd = openat(v->state_fd, VOLUME_PACKS,
		O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (v->packs_fd < 0)
		return pluri_fail(err, errno, "%s/" VOLUME_PACKS ": %s",
			v->config->state, strerror(errno));
	return 0;
}

/* --- database and key ---------------------------------------------------- */

static int volume_keys(struct volume *v, struct pluri_err *err)
{
	uint8_t master[PLURI_KEY_BYTES];
	uint8_t check[32];
	int r = secret_key(v->config->key, master, err);

	if (r >= 0)
		r = keys_new(master, &v->info.id, &v->keys, err);
	secret_wipe(master, sizeof(master));
	if (r < 0)
		return r;
	keys_check(v->keys, check);
	if (memcmp(check, v->info.key_check, sizeof(check)) != 0)
		return pluri_fail(err, EACCES,
			"the key %s is not the key of "
			"volume %s",
			v->config->key, v->info.name);
	return 0;
}

static int volume_database(struct volume *v, struct pluri_err *err)
{
	char path[CONFIG_PATH_MAX + sizeof(VOLUME_DB) + 1];
	int r;

	(void)snprintf(path, sizeof(path), "%s/" VOLUME_DB, v->config->state);
	r = (v->bare ? meta_open_damaged : meta_open)(
		path, &v->meta, &v->info, err);
	if (r >= 0 && strcmp(v->info.name, v->config->name) != 0)
		r = pluri_fail(err, EINVAL,
			"%s names volume %s, but %s holds volume %s: correct "
			"`name` or `state`",
			v->config->file, v->config->name, v->config->state,
			v->info.name);
	return r < 0 ? r : volume_keys(v, err);
}

static int volume_fleet(struct volume *v, struct pluri_err *err)
{
	const struct fleet_options o = {
		.clock = v->clock, .timeout_ms = v->config->timeout_ms};

	return fleet_new(&o, &v->fleet, err);
}

static int volume_nodes(struct volume *v, struct pluri_err *err)
{
	int r = xattr_open(v, err);

	if (r >= 0)
		r = nodes_new(v, &v->nodes, err);

	return r < 0 ? r : nodes_reap(v->nodes, err);
}

static int volume_rows(struct volume *v, struct pluri_err *err)
{
	int r = volume_state(v, err);

	if (r >= 0)
		r = volume_take_lock(v, err);
	if (r >= 0)
		r = volume_packs_dir(v, err);
	if (r >= 0)
		r = volume_database(v, err);
	return r < 0 ? r : fsck_run_new(v, &v->fsck, err);
}

static int volume_steps(struct volume *v, struct pluri_err *err)
{
	int r = stats_new(&v->stats, err);

	if (r >= 0)
		r = volume_rows(v, err);
	if (r >= 0 && v->bare)
		return 0;
	if (r >= 0)
		r = volume_fleet(v, err);
	if (r >= 0)
		r = roster_open(v, &v->roster, err);
	if (r >= 0)
		r = crew_new(crew_others(VOLUME_CREW), "crew", &v->crew, err);
	if (r >= 0)
		r = cache_new(v->config->memory, &v->cache, err);
	if (r >= 0)
		r = kits_new(&v->kits, err);
	if (r >= 0)
		r = volume_nodes(v, err);
	if (r >= 0)
		r = staging_open(v, &v->staging, err);
	if (r >= 0)
		r = commit_new(v, &v->commit, err);
	if (r >= 0)
		r = upload_new(v, &v->upload, err);
	if (r >= 0)
		r = staging_run(v->staging, err);
	if (r >= 0)
		r = reader_new(v, &v->reader, err);
	if (r >= 0)
		r = trim_new(v, &v->trim, err);
	if (r >= 0)
		r = merge_new(v, &v->merge, err);
	if (r >= 0)
		r = writer_new(v, &v->writer, err);
	if (r >= 0)
		r = sync_new(v, &v->sync, err);
	if (r >= 0)
		r = watch_new(v, &v->watch, err);
	if (r >= 0)
		r = balance_new(v, &v->balance, err);
	if (r >= 0)
		r = balance_resume(v->balance, err);
	if (r >= 0)
		r = repack_new(v, &v->repack, err);
	return r;
}

/* All but the configuration, which threads look at until they have gone. */
static void volume_drop(struct volume *v)
{
	fleet_hurry(v->fleet);
	fsck_run_free(v->fsck);
	repack_free(v->repack);
	sync_free(v->sync);
	balance_free(v->balance);
	watch_free(v->watch);
	reader_free(v->reader);
	writer_free(v->writer);
	merge_free(v->merge);
	crew_free(v->crew);
	trim_free(v->trim);
	staging_halt(v->staging);
	upload_free(v->upload);
	commit_free(v->commit);
	staging_free(v->staging);
	nodes_free(v->nodes);
	cache_free(v->cache);
	kits_free(v->kits);
	fleet_free(v->fleet);
	roster_free(v->roster);
	meta_free(v->meta);
	keys_free(v->keys);
	stats_free(v->stats);
	if (v->packs_fd >= 0)
		(void)close(v->packs_fd);
	if (v->state_fd >= 0)
		(void)close(v->state_fd);
	if (v->lock_fd >= 0)
		(void)close(v->lock_fd); /* the lock goes last */
	free(v);
}

/* why: NULL, or what keeps more of it from opening. */
static int volume_open_as(struct config *config, const struct pluri_err *why,
	struct volume **ret, struct pluri_err *err)
{
	struct volume *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return pluri_fail(err, ENOMEM, "volume: no memory");
	v->config = config;
	v->clock = clock_system();
	v->state_fd = -1;
	v->packs_fd = -1;
	v->lock_fd = -1;
	v->opened_ms = clock_mono_ms(v->clock);
	v->opened_ns = clock_real_ns(v->clock);
	v->bare = why != NULL;
	if (why)
		v->why = *why;
	r = volume_steps(v, err);
	if (r < 0) { /* the configuration is the caller's again */
		volume_drop(v);
		return r;
	}
	*ret = v;
	return 0;
}

int volume_open(
	struct config *config, struct volume **ret, struct pluri_err *err)
{
	return volume_open_as(config, NULL, ret, err);
}

int volume_open_bare(struct config *config, const struct pluri_err *why,
	struct volume **ret, struct pluri_err *err)
{
	return volume_open_as(config, why, ret, err);
}

/* A module is reached by its own threads until it has gone. */
#define VOLUME_END(v, member, end)  \
	do {                        \
		end((v)->member);   \
		(v)->member = NULL; \
	} while (0)

/* What can be kept is kept, also when a step before has failed. */
static int volume_keep(
	int r, int next, const struct pluri_err *why, struct pluri_err *err)
{
	if (r < 0 || next >= 0)
		return r;
	if (err)
		*err = *why;
	return next;
}

int volume_close(struct volume *v, struct pluri_err *err)
{
	struct pluri_err why = {0};
	int r;

	/* What can be waited for was; the rest stays owed */
	fleet_hurry(v->fleet);
	VOLUME_END(v, fsck, fsck_run_free);
	if (v->bare)
		return meta_close(v->meta, err);
	VOLUME_END(v, repack, repack_free);
	VOLUME_END(v, sync, sync_free);
	VOLUME_END(v, balance, balance_free);
	VOLUME_END(v, watch, watch_free);
	VOLUME_END(v, reader, reader_free);
	r = write_flush_all(v, err);
	VOLUME_END(v, writer, writer_free);
	VOLUME_END(v, merge, merge_free);
	VOLUME_END(v, trim, trim_free);
	r = volume_keep(r, staging_close(v->staging, &why), &why, err);
	staging_halt(v->staging);
	VOLUME_END(v, upload, upload_free);
	r = volume_keep(r, commit_now(v->commit, true, &why), &why, err);
	VOLUME_END(v, commit, commit_free);
	VOLUME_END(v, staging, staging_free);
	if (r >= 0)
		r = meta_close(v->meta, err);
	return r;
}

void volume_free(struct volume *v)
{
	struct config *config = v ? v->config : NULL;

	if (!v)
		return;
	volume_drop(v);
	config_free(config);
}
