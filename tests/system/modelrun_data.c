/*
 * modelrun_data.c - one operation on one side: bytes.
 *
 * Of a descriptor with O_DIRECT only whole pages are asked: other alignments
 * are refused by some filesystems.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/system/modelrun.h"

#define DATA_PAGE 4096u

static sigjmp_buf data_back;
static uint8_t *data_map; /* a page fault may take us back */
static size_t data_mapped;

static int64_t data_code(int64_t r)
{
	return r < 0 ? -errno : r;
}

static bool data_direct(const struct model_side *s, const struct model_op *op)
{
	return s->flags[op->actor][op->slot] & O_DIRECT;
}

static uint64_t data_round(bool direct, uint64_t n)
{
	return direct ? n & ~(uint64_t)(DATA_PAGE - 1) : n;
}

static size_t data_length(const struct model_side *s, const struct model_op *op)
{
	return data_round(data_direct(s, op), op->len);
}

static off_t data_offset(const struct model_side *s, const struct model_op *op)
{
	return (off_t)data_round(data_direct(s, op), op->off);
}

static int64_t data_read(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const int fd = model_slot(s, op);
	const size_t len = data_length(s, op);
	struct iovec v[3] = {{r->bytes, len / 3}, {r->bytes + len / 3, len / 7},
		{r->bytes + len / 3 + len / 7, len - len / 3 - len / 7}};
	ssize_t n;

	if (op->kind == MODEL_READ && data_direct(s, op))
		return 0; /* the position is anywhere */
	if (op->kind == MODEL_READ)
		n = read(fd, r->bytes, len);
	else if (op->kind == MODEL_PREAD || data_direct(s, op))
		n = pread(fd, r->bytes, len, data_offset(s, op));
	else
		n = preadv(fd, v, 3, data_offset(s, op));
	r->len = n > 0 ? (size_t)n : 0;
	return data_code(n);
}

static int64_t data_write(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const int fd = model_slot(s, op);
	const size_t len = data_length(s, op);
	struct iovec v[3] = {{r->bytes, len / 3}, {r->bytes + len / 3, len / 7},
		{r->bytes + len / 3 + len / 7, len - len / 3 - len / 7}};

	if (op->kind == MODEL_WRITE && data_direct(s, op))
		return 0;
	model_fill(r->bytes, 0, len, op->tag);
	if (op->kind == MODEL_WRITE)
		return data_code(write(fd, r->bytes, len));
	if (op->kind == MODEL_PWRITE || data_direct(s, op))
		return data_code(pwrite(fd, r->bytes, len, data_offset(s, op)));
	return data_code(pwritev(fd, v, 3, data_offset(s, op)));
}

static void data_bus(int sig)
{
	(void)sig;
	siglongjmp(data_back, 1);
}

/* [off, off + *len) of the file, shared; its end cuts the length. */
static int64_t data_mapping(struct model_side *s, const struct model_op *op,
	size_t *len, uint8_t **ret)
{
	const uint64_t from = op->off & ~(uint64_t)(DATA_PAGE - 1);
	const int fd = model_slot(s, op);
	const int prot =
		PROT_READ | (op->kind == MODEL_MAPWRITE ? PROT_WRITE : 0);
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENODEV;
	if (op->off >= (uint64_t)st.st_size || op->len == 0)
		return 0;
	*len = op->len;
	if (*len > (uint64_t)st.st_size - op->off)
		*len = (uint64_t)st.st_size - op->off;
	data_mapped = *len + (size_t)(op->off - from);
	data_map = mmap(NULL, data_mapped, prot, MAP_SHARED, fd, (off_t)from);
	if (data_map == MAP_FAILED)
		return -errno;
	*ret = data_map + (op->off - from);
	return 1;
}

/* The fault of a page whose daemon is gone, or beyond the end, is EIO. */
static int data_move(uint8_t *to, const uint8_t *from, size_t len)
{
	struct sigaction act = {.sa_handler = data_bus};

	(void)sigaction(SIGBUS, &act, NULL);
	if (sigsetjmp(data_back, 1))
		return -EIO;
	memcpy(to, from, len);
	return 0;
}

static int64_t data_through_map(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const bool writes = op->kind == MODEL_MAPWRITE;
	uint8_t *at = NULL;
	size_t len = 0;
	int64_t ret = data_mapping(s, op, &len, &at);

	if (ret <= 0)
		return ret;
	if (writes)
		model_fill(r->bytes, 0, len, op->tag);
	ret = data_move(writes ? at : r->bytes, writes ? r->bytes : at, len);
	if (ret == 0 && !writes)
		r->len = len;
	if (ret == 0 && writes && op->flags)
		ret = data_code(msync(data_map, data_mapped,
			op->flags == 1 ? MS_ASYNC : MS_SYNC));
	(void)munmap(data_map, data_mapped);
	return ret;
}

static int64_t data_truncate(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	char p[MODEL_PATH];
	int64_t ret;
	int fd;

	(void)r;
	if (op->kind == MODEL_FTRUNCATE)
		return data_code(
			ftruncate(model_slot(s, op), data_offset(s, op)));
	/* as truncate(2), which knows no directory to begin at */
	fd = openat(s->base, model_path(op->p, p),
		O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = data_code(ftruncate(fd, (off_t)op->off));
	(void)close(fd);
	return ret;
}

static int64_t data_fallocate(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const uint32_t whole =
		FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE;
	uint64_t off = op->off;
	uint64_t len = op->len;

	(void)r;
	if (op->flags & whole) {
		off &= ~(uint64_t)(DATA_PAGE - 1);
		len = (len + DATA_PAGE - 1) & ~(uint64_t)(DATA_PAGE - 1);
	}
	return data_code(fallocate(
		model_slot(s, op), (int)op->flags, (off_t)off, (off_t)len));
}

/* All of it: one call may do less. */
static int64_t data_copy(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const int to = s->fd[op->actor][op->slot2];
	off_t from_off = (off_t)op->off;
	off_t to_off = (off_t)op->off2;
	size_t left = op->len;
	ssize_t n = 1;

	(void)r;
	if (data_direct(s, op) || s->flags[op->actor][op->slot2] & O_DIRECT)
		return 0;
	while (left > 0 && n > 0) {
		n = copy_file_range(
			model_slot(s, op), &from_off, to, &to_off, left, 0);
		left -= n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? -errno : (int64_t)(op->len - left);
}

/* Where holes are found differs: afterwards the position is the same again. */
static int64_t data_seek(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const int whence = (int)op->flags;
	const int fd = model_slot(s, op);
	const bool holes = whence == SEEK_DATA || whence == SEEK_HOLE;
	const off_t off = whence == SEEK_END ? -(off_t)(op->off & 0xffff)
					     : (off_t)op->off;
	struct stat st;
	int64_t ret;

	(void)r;
	if ((data_direct(s, op) && !holes) ||
		(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0; /* a directory's positions mean nothing */
	ret = data_code(lseek(fd, off, whence));
	if (holes)
		(void)lseek(fd, (off_t)(op->off2 & 0xffff), SEEK_SET);
	return ret;
}

static int64_t data_sync(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const int fd = model_slot(s, op);

	(void)r;
	return data_code(op->kind == MODEL_FSYNC ? fsync(fd) : fdatasync(fd));
}

static int64_t data_lock(
	struct model_side *s, const struct model_op *op, struct model_result *r)
{
	const bool ofd = op->flags >> 8;
	struct flock l = {.l_type = (short)(op->flags & 0xff),
		.l_whence = SEEK_SET,
		.l_start = (off_t)op->off,
		.l_len = (off_t)op->len};
	const int fd = model_slot(s, op);

	(void)r;
	if (op->kind == MODEL_FLOCK)
		return data_code(flock(fd, (int)op->flags));
	if (op->kind == MODEL_LOCK)
		return data_code(fcntl(fd, ofd ? F_OFD_SETLK : F_SETLK, &l));
	if (fcntl(fd, ofd ? F_OFD_GETLK : F_GETLK, &l) < 0)
		return -errno;
	return l.l_type == F_UNLCK;
}

model_do_fn *model_do_data(uint32_t kind)
{
	static model_do_fn *const table[MODEL_KINDS] = {
		[MODEL_PREAD] = data_read,
		[MODEL_READ] = data_read,
		[MODEL_READV] = data_read,
		[MODEL_PWRITE] = data_write,
		[MODEL_WRITE] = data_write,
		[MODEL_WRITEV] = data_write,
		[MODEL_MAPREAD] = data_through_map,
		[MODEL_MAPWRITE] = data_through_map,
		[MODEL_TRUNCATE] = data_truncate,
		[MODEL_FTRUNCATE] = data_truncate,
		[MODEL_FALLOCATE] = data_fallocate,
		[MODEL_COPY] = data_copy,
		[MODEL_SEEK] = data_seek,
		[MODEL_FSYNC] = data_sync,
		[MODEL_FDATASYNC] = data_sync,
		[MODEL_FLOCK] = data_lock,
		[MODEL_LOCK] = data_lock,
		[MODEL_GETLOCK] = data_lock,
	};

	return table[kind];
}
