/*
 * modelrun_cmp.c - an operation on the reference and on the mount, and what
 * must be alike: the answer, the bytes, the attributes of what it touched.
 *
 * A time that the reference shows as far from now was given, and must be the
 * same. Of others it must be alike whether the operation changed them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/modelrun.h"

#define CMP_DAY 86400
#define CMP_TICK_NS 20000000 /* what a coarse clock may lag */
#define CMP_WATCHED 6u

struct cmp_look {
	struct stat st[CMP_WATCHED];
	int code[CMP_WATCHED];
};

int model_pair_open(struct model_pair *m, const char *ref, const char *mount,
	struct model_shared *shared)
{
	const int how = O_PATH | O_DIRECTORY | O_CLOEXEC;
	const char *const path[2] = {ref, mount};

	m->shared = shared;
	m->why[0] = 0;
	for (unsigned i = 0; i < 2; i++) {
		model_side_init(&m->side[i], open(path[i], how));
		if (m->side[i].base < 0 ||
			posix_memalign((void **)&m->result[i].bytes, 4096,
				MODEL_BUFFER) != 0)
			return -errno;
	}
	return 0;
}

void model_pair_close(struct model_pair *m)
{
	for (unsigned i = 0; i < 2; i++) {
		model_side_close(&m->side[i]);
		if (m->side[i].base >= 0)
			(void)close(m->side[i].base);
		free(m->result[i].bytes);
		m->result[i].bytes = NULL;
	}
}

/* --- times --- */

static bool cmp_late(const struct model_shared *s, const struct stat *st)
{
	return s->late[st->st_ino % sizeof(s->late)];
}

static int64_t cmp_ns(const struct timespec *t)
{
	return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

static bool cmp_given(const struct timespec *t)
{
	const int64_t away = t->tv_sec - time(NULL);

	return away > CMP_DAY || away < -CMP_DAY;
}

bool model_same_time(const struct model_shared *shared, const struct stat *ref,
	const struct stat *mount)
{
	const struct timespec *a = &ref->st_mtim;
	const struct timespec *b = &mount->st_mtim;

	if (cmp_late(shared, ref))
		return true;
	if (cmp_given(a))
		return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
	return !cmp_given(b);
}

/* By the clock that the kernel gives files their times from: where a processor
 * stands still for a while, so may that clock. */
static int64_t cmp_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return cmp_ns(&now);
}

/* What moves no time but that of access. */
static bool cmp_looks(uint32_t kind)
{
	static const uint32_t kinds[] = {MODEL_PREAD, MODEL_READ, MODEL_READV,
		MODEL_MAPREAD, MODEL_SEEK, MODEL_LSTAT, MODEL_STAT, MODEL_FSTAT,
		MODEL_ACCESS, MODEL_STATFS, MODEL_READLINK, MODEL_GETX,
		MODEL_LISTX, MODEL_READDIR};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i] == kind)
			return true;
	return false;
}

/* Did the mount's time change where the reference's did, and only there? Of
 * one that is hardly older than an operation that changes some nobody knows. */
static bool cmp_moved(
	const struct model_pair *m, const struct timespec t[4], bool *ret_less)
{
	const int64_t began = m->began;
	const bool ref = cmp_ns(&t[0]) != cmp_ns(&t[1]);
	const bool mount = cmp_ns(&t[2]) != cmp_ns(&t[3]);

	*ret_less = ref;
	if (ref && !mount)
		return began - cmp_ns(&t[3]) < CMP_TICK_NS;
	/* the reference's clock may be the coarse one, too */
	if (!ref && mount)
		return !m->looks && !cmp_given(&t[1]) &&
		       began - cmp_ns(&t[1]) < CMP_TICK_NS;
	return true;
}

static void cmp_times(struct model_pair *m, const struct cmp_look *before,
	const struct cmp_look *after, unsigned i)
{
	static const char *const names[] = {"p", "q", "the directory of p",
		"the directory of q", "the slot", "the other slot"};
	struct timespec t[4] = {before[0].st[i].st_mtim, after[0].st[i].st_mtim,
		before[1].st[i].st_mtim, after[1].st[i].st_mtim};
	bool less = false;

	/* what differs here is told of elsewhere, and is no time */
	if (before[0].code[i] || after[0].code[i] || before[1].code[i] ||
		after[1].code[i] ||
		before[0].st[i].st_ino != after[0].st[i].st_ino ||
		cmp_late(m->shared, &after[0].st[i]))
		return;
	if (!cmp_moved(m, t, &less))
		(void)model_wrong(m->why, "mtime of %s changed%s", names[i],
			less ? " on the reference only" : ", but should not");
	t[0] = before[0].st[i].st_ctim;
	t[1] = after[0].st[i].st_ctim;
	t[2] = before[1].st[i].st_ctim;
	t[3] = after[1].st[i].st_ctim;
	if (!cmp_moved(m, t, &less))
		(void)model_wrong(m->why,
			"ctime of %s changed%s, by %lld ns, "
			"%lld ns ago",
			names[i],
			less ? " on the reference only" : ", but should not",
			(long long)(cmp_ns(&t[3]) - cmp_ns(&t[2])),
			(long long)(m->began - cmp_ns(&t[3])));
}

/* --- attributes --- */

static void cmp_look(
	struct model_side *s, const struct model_op *op, struct cmp_look *l)
{
	const uint32_t path[4] = {op->p, op->q, model_path_parent(op->p),
		model_path_parent(op->q)};
	const uint8_t slot[2] = {op->slot, op->slot2};
	char p[MODEL_PATH];

	for (unsigned i = 0; i < 4; i++)
		l->code[i] = fstatat(s->base, model_path(path[i], p), &l->st[i],
				     AT_SYMLINK_NOFOLLOW) < 0
				     ? errno
				     : 0;
	for (unsigned i = 0; i < 2; i++)
		l->code[4 + i] =
			fstat(s->fd[op->actor][slot[i]], &l->st[4 + i]) < 0
				? errno
				: 0;
}

static bool cmp_gone(int code)
{
	return code == ENOTCONN || code == ECONNABORTED || code == EIO ||
	       code == EINTR;
}

static void cmp_stat(struct model_pair *m, const struct cmp_look *l, unsigned i)
{
	const struct stat *a = &l[0].st[i];
	const struct stat *b = &l[1].st[i];

	if (l[0].code[i] != l[1].code[i])
		(void)model_wrong(m->why, "stat %u: %s, should be %s", i,
			strerror(l[1].code[i]), strerror(l[0].code[i]));
	else if (l[0].code[i])
		return;
	else if (a->st_mode != b->st_mode)
		(void)model_wrong(m->why, "stat %u: mode %#o, should be %#o", i,
			b->st_mode, a->st_mode);
	else if (a->st_nlink != b->st_nlink)
		(void)model_wrong(m->why, "stat %u: %lu links, should be %lu",
			i, (unsigned long)b->st_nlink,
			(unsigned long)a->st_nlink);
	else if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		(void)model_wrong(m->why,
			"stat %u: owner %u:%u, should be "
			"%u:%u",
			i, b->st_uid, b->st_gid, a->st_uid, a->st_gid);
	else if (!S_ISDIR(a->st_mode) && a->st_size != b->st_size)
		(void)model_wrong(m->why, "stat %u: %lld bytes, should be %lld",
			i, (long long)b->st_size, (long long)a->st_size);
	else if (a->st_rdev != b->st_rdev)
		(void)model_wrong(m->why, "stat %u: another device", i);
	else if (!model_same_time(m->shared, a, b))
		(void)model_wrong(m->why,
			"stat %u: mtime %lld.%09ld, should be %lld.%09ld", i,
			(long long)b->st_mtim.tv_sec, b->st_mtim.tv_nsec,
			(long long)a->st_mtim.tv_sec, a->st_mtim.tv_nsec);
}

/* --- answers --- */

/* Does [from, end) of the reference's file hold zeros alone? */
static bool cmp_zeros_fd(
	struct model_pair *m, int fd, int64_t from, int64_t end)
{
	uint8_t *room = m->result[0].bytes;

	while (from < end) {
		const int64_t left = end - from;
		const ssize_t n = pread(fd, room,
			left < MODEL_BUFFER ? (size_t)left : MODEL_BUFFER,
			from);

		if (n <= 0)
			return true;
		for (ssize_t i = 0; i < n; i++)
			if (room[i])
				return false;
		from += n;
	}
	return true;
}

/* Asked by a process of its own: its close() ends no record lock of ours. */
static bool cmp_zeros(struct model_pair *m, int fd, int64_t from, int64_t end)
{
	char path[64];
	int status = 0;
	const pid_t pid = fork();

	if (pid == 0) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		_exit(!cmp_zeros_fd(m, fd, from, end));
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* Holes need not be found; what is said to be one must be zeros. */
static void cmp_seek(struct model_pair *m, const struct model_op *op)
{
	const int64_t to = m->result[1].ret;
	const int64_t off = (int64_t)op->off;
	const int fd = model_slot(&m->side[0], op);
	struct stat st;
	const bool fine = fstat(fd, &st) == 0 && off < st.st_size;

	if (!fine) {
		if (to != m->result[0].ret)
			(void)model_wrong(m->why, "returned %" PRId64, to);
		return;
	}
	if (to < 0 && (op->flags == SEEK_HOLE || to != -ENXIO))
		(void)model_wrong(m->why, "returned %" PRId64, to);
	else if (op->flags == SEEK_HOLE && (to < off || to > st.st_size))
		(void)model_wrong(m->why, "a hole at %" PRId64, to);
	else if (op->flags == SEEK_HOLE && !cmp_zeros(m, fd, to, to + 1))
		(void)model_wrong(m->why, "no hole at %" PRId64, to);
	else if (op->flags == SEEK_DATA &&
		 (!cmp_zeros(m, fd, off, to < 0 ? st.st_size : to) ||
			 (to >= 0 && (to < off || to >= st.st_size))))
		(void)model_wrong(m->why, "data, not at %" PRId64, to);
}

static void cmp_answer(struct model_pair *m, const struct model_op *op)
{
	const struct model_result *a = &m->result[0];
	const struct model_result *b = &m->result[1];
	size_t i = 0;

	struct stat st;

	if (op->kind == MODEL_SEEK &&
		fstat(model_slot(&m->side[0], op), &st) == 0 &&
		(op->flags == SEEK_DATA || op->flags == SEEK_HOLE ||
			S_ISDIR(st.st_mode))) {
		if (S_ISREG(st.st_mode))
			cmp_seek(m, op);
		return;
	}
	if (a->ret != b->ret) {
		(void)model_wrong(m->why,
			"returned %" PRId64 " %s, should be %" PRId64 " %s",
			b->ret, b->ret < 0 ? strerror((int)-b->ret) : "",
			a->ret, a->ret < 0 ? strerror((int)-a->ret) : "");
		return;
	}
	while (i < a->len && i < b->len && a->bytes[i] == b->bytes[i])
		i++;
	if (i < a->len || i < b->len)
		(void)model_wrong(m->why,
			"byte %zu of %zu is %02x, should be %02x of %zu", i,
			b->len, b->bytes[i], a->bytes[i], a->len);
}

/* Their pages are written when the kernel likes; and of a fifo's writes only
 * the kernel knows. */
static void cmp_note_late(struct model_pair *m, const struct model_op *op)
{
	struct stat st;

	if (fstat(model_slot(&m->side[0], op), &st) == 0 &&
		(op->kind == MODEL_MAPWRITE || S_ISFIFO(st.st_mode)))
		m->shared->late[st.st_ino % sizeof(m->shared->late)] = 1;
}

int model_pair_do(struct model_pair *m, struct model_op *op)
{
	struct cmp_look before[2];
	struct cmp_look after[2];
	struct statvfs v;
	int64_t ret;

	m->why[0] = 0;
	for (unsigned i = 0; i < 2 && !op->quiet; i++)
		cmp_look(&m->side[i], op, &before[i]);
	m->began = cmp_now();
	m->looks = cmp_looks(op->kind);
	model_do(&m->side[1], op, &m->result[1]);
	ret = m->result[1].ret;
	op->ret = ret < 0 ? (int32_t)ret : 0;
	if (op->kind == MODEL_FALLOCATE && ret == -EOPNOTSUPP)
		return 0;
	model_do(&m->side[0], op, &m->result[0]);
	cmp_note_late(m, op);
	cmp_answer(m, op);
	for (unsigned i = 0; i < 2 && !op->quiet; i++)
		cmp_look(&m->side[i], op, &after[i]);
	for (unsigned i = 0; i < CMP_WATCHED && !op->quiet; i++) {
		cmp_stat(m, after, i);
		/* a list that was not there: the kernel takes it for one */
		if (op->kind != MODEL_REMX || op->mode < 5)
			cmp_times(m, before, after, i);
	}
	if (!m->why[0])
		return 0;
	for (unsigned i = 0; i < CMP_WATCHED && !op->quiet; i++)
		if (cmp_gone(after[1].code[i]) || cmp_gone(before[1].code[i]))
			return -1;
	/* a part may have been read before it died */
	if (fstatvfs(m->side[1].base, &v) < 0 && cmp_gone(errno))
		return -1;
	return ret < 0 && cmp_gone((int)-ret) ? -1 : 1;
}
