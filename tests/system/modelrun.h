/*
 * tests/system/modelrun.h - what the files of modelrun share.
 *
 * An operation is a record of plain numbers. It means something after any
 * other operations, so that a part of a sequence is a sequence, too: paths are
 * drawn from few names, descriptors from few slots, and what is not there
 * fails alike on both sides. Side 0 is the reference, a directory of this
 * machine; side 1 is the mount.
 */
#ifndef TESTS_SYSTEM_MODELRUN_H
#define TESTS_SYSTEM_MODELRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define MODEL_SLOTS 6u	     /* descriptors of one actor */
#define MODEL_ACTORS 2u	     /* processes that work in one subtree */
#define MODEL_PROCS_MAX 8u
#define MODEL_BUFFER (2u << 20)
#define MODEL_PATH 2048u     /* bytes of a path's text */
#define MODEL_TEXT 1024u     /* bytes of a complaint */

enum model_kind {
	MODEL_OPEN, MODEL_TMPFILE, MODEL_LINKFD, MODEL_CLOSE, MODEL_SETFL,
	MODEL_PREAD, MODEL_PWRITE, MODEL_READ, MODEL_WRITE, MODEL_READV,
	MODEL_WRITEV, MODEL_MAPREAD, MODEL_MAPWRITE, MODEL_TRUNCATE,
	MODEL_FTRUNCATE, MODEL_FALLOCATE, MODEL_COPY, MODEL_SEEK, MODEL_FSYNC,
	MODEL_FDATASYNC, MODEL_FSYNCDIR, MODEL_LSTAT, MODEL_STAT, MODEL_FSTAT,
	MODEL_ACCESS, MODEL_STATFS, MODEL_MKDIR, MODEL_RMDIR, MODEL_UNLINK,
	MODEL_RENAME, MODEL_LINK, MODEL_SYMLINK, MODEL_READLINK, MODEL_MKNOD,
	MODEL_CHMOD, MODEL_FCHMOD, MODEL_CHOWN, MODEL_FCHOWN, MODEL_UTIMES,
	MODEL_FUTIMES, MODEL_SETX, MODEL_GETX, MODEL_LISTX, MODEL_REMX,
	MODEL_READDIR, MODEL_FLOCK, MODEL_LOCK, MODEL_GETLOCK,
	/* between batches; they have no fields */
	MODEL_DROP, MODEL_CLEAR, MODEL_REMOUNT,
	MODEL_KILL, /* the end: the daemon dies meanwhile */
	MODEL_KINDS
};

struct model_op {
	uint32_t kind; /* enum model_kind */
	uint8_t actor, slot, slot2;
	uint8_t quiet;	 /* no stat around it */
	uint32_t who;	 /* index of a user; 0: root */
	uint32_t mode;	 /* of what is made; also the umask, << 16 */
	uint32_t p, q;	 /* paths: three components, one byte each */
	uint32_t flags;	 /* by kind */
	int32_t ret;	 /* the mount's answer, 0 or -errno; 1: never ended */
	uint64_t off, off2, len;
	uint64_t tag;	 /* what bytes are written; unique */
};

/* --- modelrun_gen.c: drawing operations ---------------------------------- */
struct model_random {
	uint64_t state;
};

struct model_gen {
	struct model_random random;
	uint64_t next; /* tag */
	bool acl, tmpfile; /* the mount knows them */
	bool data; /* bytes of two files alone */
	uint32_t live[32]; /* paths that were made lately */
};

uint64_t model_hash(uint64_t x);
uint64_t model_draw(struct model_random *r, uint64_t below);
void model_gen_draw(struct model_gen *g, struct model_op *ret);
void model_gen_learn(struct model_gen *g, const struct model_op *op);
void model_fill(uint8_t *to, uint64_t off, size_t len, uint64_t tag);
const char *model_kind_name(uint32_t kind);

/* --- modelrun_text.c: paths and operations as text ------------------------ */

const char *model_path(uint32_t code, char to[MODEL_PATH]);
uint32_t model_path_parent(uint32_t code);
void model_target(const struct model_op *op, char to[MODEL_PATH * 4]);
void model_tell(const struct model_op *op, char to[MODEL_TEXT]);
/* A complaint, kept once; returns false. */
bool model_wrong(char to[MODEL_TEXT], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* --- modelrun_do.c, _data.c, _attr.c: one operation on one side ----------- */

struct model_side {
	int base; /* the subtree's directory */
	int broken; /* errno of a listing */
	int fd[MODEL_ACTORS][MODEL_SLOTS];
	int flags[MODEL_ACTORS][MODEL_SLOTS]; /* given to open */
};

struct model_result {
	int64_t ret; /* or -errno */
	size_t len;  /* of bytes */
	uint8_t *bytes; /* MODEL_BUFFER */
};

typedef int64_t model_do_fn(struct model_side *s, const struct model_op *op,
	struct model_result *r);

void model_side_init(struct model_side *s, int base);
void model_side_close(struct model_side *s); /* slots, not the base */
void model_do(struct model_side *s, const struct model_op *op,
	struct model_result *r);
int model_slot(const struct model_side *s, const struct model_op *op);
/* NULL: the kind is another file's. */
model_do_fn *model_do_data(uint32_t kind);
model_do_fn *model_do_attr(uint32_t kind);

/* --- modelrun_cmp.c: both sides ------------------------------------------ */

/* Inodes of the reference whose times come late (mmap). */
struct model_shared {
	uint8_t late[65536];
};

struct model_pair {
	struct model_side side[2];
	struct model_result result[2];
	struct model_shared *shared;
	int64_t began; /* ns: the operation */
	bool looks;    /* only */
	char why[MODEL_TEXT];
};

int model_pair_open(struct model_pair *m, const char *ref, const char *mount,
	struct model_shared *shared);
void model_pair_close(struct model_pair *m);
/* 0; 1: they differ, see why; -1: the mount's daemon is gone. Sets op->ret. */
int model_pair_do(struct model_pair *m, struct model_op *op);
bool model_same_time(const struct model_shared *shared, const struct stat *ref,
	const struct stat *mount);

/* --- modelrun_tree.c: whole trees ---------------------------------------- */

struct model_entry {
	char *path; /* "." the root */
	struct stat st;
	uint64_t link, xattr; /* hashes */
};

struct model_tree {
	struct model_entry *entry; /* by path */
	size_t n, room;
};

int model_tree_scan(const char *root, struct model_tree *t, char why[]);
void model_tree_free(struct model_tree *t);
/* Names and attributes; size and times left out. */
bool model_tree_alike(const struct model_tree *a, const struct model_tree *b,
	bool exact_mode, char why[]);
/* Everything, bytes included. */
bool model_tree_same(const char *ref, const char *mount,
	const struct model_shared *shared, char why[]);
int model_tree_copy(const char *from, const char *to);

#endif
