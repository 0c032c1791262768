/*
 * modelrun_gen.c - what to do next, drawn from a seed; and the bytes to write.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/system/modelrun.h"

static const struct {
	const char *name;
	unsigned weight;
} model_kinds[MODEL_KINDS] = {
	[MODEL_OPEN] = {"open", 90},
	[MODEL_TMPFILE] = {"tmpfile", 4},
	[MODEL_LINKFD] = {"linkfd", 4},
	[MODEL_CLOSE] = {"close", 12},
	[MODEL_SETFL] = {"setfl", 4},
	[MODEL_PREAD] = {"pread", 40},
	[MODEL_PWRITE] = {"pwrite", 60},
	[MODEL_READ] = {"read", 10},
	[MODEL_WRITE] = {"write", 20},
	[MODEL_READV] = {"preadv", 6},
	[MODEL_WRITEV] = {"pwritev", 8},
	[MODEL_MAPREAD] = {"mapread", 12},
	[MODEL_MAPWRITE] = {"mapwrite", 16},
	[MODEL_TRUNCATE] = {"truncate", 16},
	[MODEL_FTRUNCATE] = {"ftruncate", 16},
	[MODEL_FALLOCATE] = {"fallocate", 24},
	[MODEL_COPY] = {"copy_file_range", 20},
	[MODEL_SEEK] = {"seek", 16},
	[MODEL_FSYNC] = {"fsync", 6},
	[MODEL_FDATASYNC] = {"fdatasync", 4},
	[MODEL_FSYNCDIR] = {"fsyncdir", 4},
	[MODEL_LSTAT] = {"lstat", 16},
	[MODEL_STAT] = {"stat", 8},
	[MODEL_FSTAT] = {"fstat", 12},
	[MODEL_ACCESS] = {"access", 10},
	[MODEL_STATFS] = {"statfs", 2},
	[MODEL_MKDIR] = {"mkdir", 40},
	[MODEL_RMDIR] = {"rmdir", 16},
	[MODEL_UNLINK] = {"unlink", 36},
	[MODEL_RENAME] = {"rename", 50},
	[MODEL_LINK] = {"link", 24},
	[MODEL_SYMLINK] = {"symlink", 16},
	[MODEL_READLINK] = {"readlink", 6},
	[MODEL_MKNOD] = {"mknod", 10},
	[MODEL_CHMOD] = {"chmod", 16},
	[MODEL_FCHMOD] = {"fchmod", 6},
	[MODEL_CHOWN] = {"chown", 12},
	[MODEL_FCHOWN] = {"fchown", 4},
	[MODEL_UTIMES] = {"utimes", 12},
	[MODEL_FUTIMES] = {"futimes", 6},
	[MODEL_SETX] = {"setxattr", 20},
	[MODEL_GETX] = {"getxattr", 12},
	[MODEL_LISTX] = {"listxattr", 8},
	[MODEL_REMX] = {"removexattr", 8},
	[MODEL_READDIR] = {"readdir", 12},
	[MODEL_FLOCK] = {"flock", 10},
	[MODEL_LOCK] = {"lock", 14},
	[MODEL_GETLOCK] = {"getlock", 4},
	[MODEL_DROP] = {"drop", 0},
	[MODEL_CLEAR] = {"clear", 0},
	[MODEL_REMOUNT] = {"remount", 0},
	[MODEL_KILL] = {"kill", 0},
};

const char *model_kind_name(uint32_t kind)
{
	return kind < MODEL_KINDS ? model_kinds[kind].name : "unknown";
}

uint64_t model_hash(uint64_t z)
{
	z += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t model_draw(struct model_random *r, uint64_t below)
{
	r->state += UINT64_C(0x9e3779b97f4a7c15);
	return model_hash(r->state) % below;
}

/* Each write's bytes are its own; a quarter of them compress. */
void model_fill(uint8_t *to, uint64_t off, size_t len, uint64_t tag)
{
	const uint64_t key = model_hash(tag);

	if (key % 4 == 0) {
		memset(to, (int)(key >> 8 & 0xff), len);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		const uint64_t at = off + i;

		to[i] = (uint8_t)(model_hash(key ^ at / 8) >> at % 8 * 8);
	}
}

/* --- what an operation is made of --- */

static uint32_t gen_component(struct model_random *r)
{
	const uint64_t n = model_draw(r, 100);

	if (n < 92)
		return 1 + (uint32_t)(n % 6);
	return n < 95 ? 7 : n < 96 ? 8 : n < 98 ? 9 : 12;
}

/* ".." only once, not first: it must not lead out. */
static uint32_t gen_path(struct model_gen *g)
{
	struct model_random *r = &g->random;
	const unsigned depth = 1 + (unsigned)model_draw(r, 6) / 2;
	uint32_t code = g->live[model_draw(r, 32)];
	bool dots = false;

	if (g->data)
		return 1 + (uint32_t)model_draw(r, 2);
	if (code && model_draw(r, 100) < 65)
		return code;
	if (model_draw(r, 200) == 0)
		return 0;
	code = 0;
	for (unsigned i = 0; i < depth; i++) {
		uint32_t c = gen_component(r);

		if (i > 0 && !dots && model_draw(r, 60) == 0) {
			c = 10;
			dots = true;
		}
		code |= c << 8 * i;
	}
	return code;
}

/* A new name beside or below one that is there. */
static uint32_t gen_new(struct model_gen *g)
{
	const uint32_t near = gen_path(g);
	const uint32_t name = gen_component(&g->random);

	if (g->data)
		return near;
	if (near == 0 || (near <= 0xff && model_draw(&g->random, 2)))
		return name;
	if (near <= 0xff)
		return near | name << 8;
	if (near <= 0xffff && model_draw(&g->random, 2))
		return (near & 0xff) | name << 8;
	return (near & 0xffff) | name << 16;
}

static uint64_t gen_size(struct model_random *r)
{
	static const uint64_t top[] = {
		200, 5000, 70000, 70000, 300000, 300000, 1 << 20, 2 << 20};
	uint64_t n = model_draw(r, top[model_draw(r, 8)]);

	if (model_draw(r, 4) == 0)
		n &= ~UINT64_C(4095);
	if (model_draw(r, 150) == 0)
		n += model_draw(r, 4) == 0 ? 200 << 20 : 6 << 20;
	return n;
}

static uint64_t gen_length(struct model_random *r)
{
	static const uint64_t top[] = {
		16, 300, 5000, 5000, 20000, 70000, 150000, 1 << 20};
	uint64_t n = 1 + model_draw(r, top[model_draw(r, 8)]);

	if (model_draw(r, 4) == 0)
		n = (n + 4095) & ~UINT64_C(4095);
	return model_draw(r, 100) == 0 ? 0 : n;
}

static uint32_t gen_mode(struct model_random *r)
{
	static const uint32_t modes[] = {0644, 0600, 0666, 0755, 0777, 0777,
		01777, 02775, 02755, 04755, 06777, 0444, 0200, 0, 0711, 0070};

	return modes[model_draw(r, sizeof(modes) / sizeof(modes[0]))];
}

static uint32_t gen_open_flags(struct model_random *r)
{
	static const int access[] = {O_RDWR, O_RDWR, O_RDONLY, O_WRONLY};
	int f = access[model_draw(r, 4)] | O_NONBLOCK;

	if (model_draw(r, 10) < 6)
		f |= O_CREAT;
	if (model_draw(r, 8) == 0)
		f |= O_EXCL;
	if (model_draw(r, 8) == 0)
		f |= O_TRUNC;
	if (model_draw(r, 7) == 0)
		f |= O_APPEND;
	if (model_draw(r, 10) == 0)
		f |= O_DIRECT;
	if (model_draw(r, 20) == 0)
		f |= O_NOFOLLOW;
	if (model_draw(r, 20) == 0)
		f |= O_DIRECTORY;
	if (model_draw(r, 30) == 0)
		f |= O_SYNC;
	if ((f & O_EXCL) && !(f & O_CREAT))
		f &= ~O_EXCL; /* undefined */
	if ((f & O_DIRECTORY) && (f & O_CREAT))
		f &= ~O_CREAT; /* kernels differ */
	return (uint32_t)f;
}

static uint32_t gen_fallocate_mode(struct model_random *r)
{
	static const uint32_t modes[] = {0, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_PUNCH_HOLE};

	return modes[model_draw(r, 9)];
}

static void gen_lock(struct model_random *r, struct model_op *op)
{
	static const uint32_t flocks[] = {LOCK_SH, LOCK_EX, LOCK_UN};
	static const uint32_t types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	const uint64_t n = model_draw(r, 3);

	if (op->kind == MODEL_FLOCK) {
		op->flags = flocks[n] | LOCK_NB;
		return;
	}
	op->flags = types[n] | (model_draw(r, 3) ? 0 : 1u << 8); /* OFD */
	op->off = model_draw(r, 10) * 10;
	op->len = model_draw(r, 4) * 15;
}

/* Names by number, and two sizes; the lists' bytes are made from the tag. */
static void gen_xattr(struct model_gen *g, struct model_op *op)
{
	struct model_random *r = &g->random;
	static const uint32_t flags[] = {0, 0, XATTR_CREATE, XATTR_REPLACE};

	op->mode = (uint32_t)model_draw(r, g->acl ? 8 : 5);
	op->flags = flags[model_draw(r, 4)];
	op->len = model_draw(r, model_draw(r, 3) ? 20 : 150);
	op->off = model_draw(r, 8) ? 4096 : model_draw(r, 30);
}

static void gen_fields(struct model_gen *g, struct model_op *op)
{
	static const int whence[] = {SEEK_DATA, SEEK_HOLE, SEEK_SET, SEEK_END};
	struct model_random *r = &g->random;

	switch (op->kind) {
	case MODEL_OPEN:
		op->flags = gen_open_flags(r);
		break;
	case MODEL_FALLOCATE:
		op->flags = gen_fallocate_mode(r);
		break;
	case MODEL_SEEK:
		op->flags = (uint32_t)whence[model_draw(r, 4)];
		break;
	case MODEL_RENAME:
		op->flags = (uint32_t)model_draw(r, 5);
		op->flags = op->flags < 3 ? 0 : op->flags - 2;
		break;
	case MODEL_FLOCK:
	case MODEL_LOCK:
	case MODEL_GETLOCK:
		gen_lock(r, op);
		break;
	case MODEL_SETX:
	case MODEL_GETX:
	case MODEL_REMX:
		gen_xattr(g, op);
		break;
	case MODEL_SYMLINK:
	case MODEL_MKNOD:
	case MODEL_CHOWN:
	case MODEL_FCHOWN:
	case MODEL_UTIMES:
	case MODEL_FUTIMES:
		op->flags = (uint32_t)model_draw(r, 1 << 16);
		break;
	default:
		op->flags = (uint32_t)model_draw(r, 4);
	}
}

static uint32_t gen_kind(struct model_gen *g)
{
	unsigned sum = 0;
	unsigned n;

	for (unsigned i = 0; i < MODEL_KINDS; i++)
		sum += model_kinds[i].weight;
	n = (unsigned)model_draw(&g->random, sum);
	for (unsigned i = 0; i < MODEL_KINDS; i++) {
		if (n < model_kinds[i].weight)
			return i;
		n -= model_kinds[i].weight;
	}
	return MODEL_LSTAT;
}

static bool gen_makes(uint32_t kind)
{
	return kind == MODEL_MKDIR || kind == MODEL_SYMLINK ||
	       kind == MODEL_MKNOD || kind == MODEL_LINKFD;
}

void model_gen_draw(struct model_gen *g, struct model_op *op)
{
	struct model_random *r = &g->random;

	*op = (struct model_op){.kind = gen_kind(g), .ret = 1};
	while ((op->kind == MODEL_TMPFILE && !g->tmpfile) ||
		(g->data && op->kind > MODEL_FDATASYNC))
		op->kind = gen_kind(g);
	op->actor = model_draw(r, 4) == 0;
	op->slot = (uint8_t)model_draw(r, MODEL_SLOTS);
	op->slot2 = (uint8_t)model_draw(r, MODEL_SLOTS);
	op->quiet = model_draw(r, 2) == 0;
	op->who = model_draw(r, 4) ? 0 : 1 + (uint32_t)model_draw(r, 2);
	op->mode = gen_mode(r) | (model_draw(r, 3) ? 022u << 16 : 0);
	op->p = gen_makes(op->kind) ||
				(op->kind == MODEL_OPEN && model_draw(r, 2))
			? gen_new(g)
			: gen_path(g);
	op->q = model_draw(r, 2) ? gen_new(g) : gen_path(g);
	op->off = gen_size(r) % (g->data ? 300000 : UINT64_MAX);
	op->off2 = gen_size(r) % (g->data ? 300000 : UINT64_MAX);
	op->len = gen_length(r) % (g->data ? 70000 : UINT64_MAX);
	op->tag = g->next++;
	gen_fields(g, op);
}

void model_gen_learn(struct model_gen *g, const struct model_op *op)
{
	uint32_t made = 0;

	if (op->ret != 0)
		return;
	if (op->kind == MODEL_RENAME || op->kind == MODEL_LINK)
		made = op->q;
	else if (gen_makes(op->kind) || op->kind == MODEL_OPEN)
		made = op->p;
	if (made)
		g->live[model_draw(&g->random, 32)] = made;
}
