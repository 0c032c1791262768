/* Which times each call changes, of the object and of its directories. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "conform.h"

#define TIMES_A 1u
#define TIMES_M 2u
#define TIMES_C 4u
#define TIMES_MC (TIMES_M | TIMES_C)
#define TIMES_ALL (TIMES_A | TIMES_MC)
#define TIMES_MAY_A 8u /* atime may change, or not */

/*
 * Before each call: "d/x" of its kind, its second name "y" (if it is no
 * directory), an empty directory "e" and a file "e/z" of 9 bytes. Each set of
 * flags says what changes of "d/x" (by "y" or "e/new" if it is gone), of "d",
 * and of "e".
 */
struct times_case {
	const char *name;
	int (*run)(void);
	enum conform_kind kind;
	unsigned object, d, e;
	int code;
};

static bool times_equal(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static unsigned times_changed(const struct stat *a, const struct stat *b)
{
	return (times_equal(a->st_atim, b->st_atim) ? 0 : TIMES_A) |
	       (times_equal(a->st_mtim, b->st_mtim) ? 0 : TIMES_M) |
	       (times_equal(a->st_ctim, b->st_ctim) ? 0 : TIMES_C);
}

/* --- calls --------------------------------------------------------------- */

static int times_open(const char *name, int flags)
{
	const int fd = open(name, flags, 0644);

	return fd < 0 ? -1 : close(fd);
}

static int times_end(int fd, bool good)
{
	const int e = errno;

	(void)close(fd);
	errno = e;
	return good ? 0 : -1;
}

static int t_stat(void)
{
	struct stat st;

	return lstat("d/x", &st);
}

static int t_access(void)
{
	return access("d/x", R_OK | W_OK);
}

static int t_open(void)
{
	return times_open("d/x", O_RDWR);
}

static int t_open_creat(void)
{
	return times_open("d/x", O_RDWR | O_CREAT);
}

static int t_creat(void)
{
	return times_open("d/new", O_RDWR | O_CREAT | O_EXCL);
}

static int t_mkdir(void)
{
	return mkdir("d/new", 0755);
}

static int t_mkfifo(void)
{
	return mkfifo("d/new", 0644);
}

static int t_mknod(void)
{
	return mknod("d/new", S_IFSOCK | 0644, 0);
}

static int t_symlink(void)
{
	return symlink("target", "d/new");
}

static int t_link(void)
{
	return link("d/x", "e/new");
}

static int t_unlink(void)
{
	return unlink("d/x");
}

static int t_rmdir(void)
{
	return rmdir("d/x");
}

static int t_rename(void)
{
	return rename("d/x", "e/new");
}

static int t_rename_inside(void)
{
	return rename("d/x", "d/other");
}

static int t_rename_over(void)
{
	return rename("e/z", "d/x");
}

static int t_rename_same(void)
{
	return link("d/x", "d/w") < 0 ? -1 : rename("d/x", "d/w");
}

static int t_exchange(void)
{
	return renameat2(AT_FDCWD, "d/x", AT_FDCWD, "e/z", RENAME_EXCHANGE);
}

static int t_chmod(void)
{
	return chmod("d/x", 0600);
}

static int t_chown(void)
{
	return lchown("d/x", 3, 3);
}

static int t_setxattr(void)
{
	return lsetxattr("d/x", "trusted.conform", "1", 1, 0);
}

static int t_removexattr(void)
{
	return lremovexattr("d/x", "trusted.conform");
}

static int t_getxattr(void)
{
	char got[8];

	return lgetxattr("e/z", "trusted.conform", got, 8) == 1 &&
			       lsetxattr("e/z", "trusted.conform", "1", 1,
				       XATTR_CREATE) < 0
		       ? 0
		       : -1;
}

static int t_write(void)
{
	const int fd = open("d/x", O_WRONLY);

	return times_end(fd, write(fd, "w", 1) == 1);
}

static int t_write_nothing(void)
{
	const int fd = open("d/x", O_WRONLY);

	return times_end(fd, write(fd, "w", 0) == 0);
}

static int t_write_sync(void)
{
	const int fd = open("d/x", O_WRONLY | O_APPEND | O_SYNC);

	return times_end(fd, write(fd, "w", 1) == 1);
}

static int t_fsync(void)
{
	const int fd = open("d/x", O_RDWR);

	return times_end(fd, fsync(fd) == 0 && fdatasync(fd) == 0);
}

static int t_read(void)
{
	const int fd = open("d/x", O_RDONLY);
	char got[32];

	return times_end(fd, read(fd, got, sizeof(got)) > 0);
}

static int t_read_nothing(void)
{
	const int fd = open("d/x", O_RDONLY);
	char got[1];

	return times_end(fd, read(fd, got, 0) == 0);
}

static int t_noatime(void)
{
	const int fd = open("d/x", O_RDONLY | O_NOATIME);
	char got[32];

	return times_end(fd, read(fd, got, sizeof(got)) > 0);
}

static int t_readdir(void)
{
	DIR *d = opendir("d/x");

	while (d && readdir(d))
		;
	return d ? closedir(d) : -1;
}

static int t_readlink(void)
{
	char to[32];

	return readlink("d/x", to, sizeof(to)) > 0 ? 0 : -1;
}

static int t_truncate(void)
{
	return truncate("d/x", 3);
}

static int t_grow(void)
{
	return truncate("d/x", 3000);
}

static int t_ftruncate(void)
{
	const int fd = open("d/x", O_WRONLY);

	return times_end(fd, ftruncate(fd, 2) == 0);
}

static int t_ftruncate_same(void)
{
	const int fd = open("d/x", O_WRONLY);

	return times_end(fd, ftruncate(fd, 9) == 0);
}

static int t_open_trunc(void)
{
	return times_open("d/x", O_WRONLY | O_TRUNC);
}

static int t_fallocate(void)
{
	const int fd = open("d/x", O_WRONLY);

	return times_end(fd, fallocate(fd, 0, 0, 10000) == 0);
}

static int t_punch(void)
{
	const int fd = open("d/x", O_WRONLY);

	return times_end(
		fd, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			    5) == 0);
}

static int t_copy(void)
{
	const int from = open("e/z", O_RDONLY);
	const int fd = open("d/x", O_WRONLY);
	const ssize_t n = copy_file_range(from, NULL, fd, NULL, 5, 0);

	(void)close(from);
	return times_end(fd, n == 5);
}

static int t_mmap(void)
{
	const int fd = open("d/x", O_RDWR);
	char *p = mmap(NULL, 9, PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return times_end(fd, false);
	p[3] = 'm';
	(void)msync(p, 9, MS_SYNC);
	(void)munmap(p, 9);
	return times_end(fd, fsync(fd) == 0);
}

static int t_fifo(void)
{
	const int fd = open("d/x", O_RDWR);
	char got[1];

	return times_end(fd, write(fd, "f", 1) == 1 && read(fd, got, 1) == 1);
}

/* --- the table ----------------------------------------------------------- */

#define R CONFORM_REG
#define A TIMES_A
#define C TIMES_C
#define MC TIMES_MC

static const struct times_case times_good[] = {
	{"lstat", t_stat, R, 0, 0, 0, 0},
	{"access", t_access, R, 0, 0, 0, 0},
	{"open", t_open, R, 0, 0, 0, 0},
	{"open O_CREAT of what is there", t_open_creat, R, 0, 0, 0, 0},
	{"open O_CREAT", t_creat, R, 0, MC, 0, 0},
	{"mkdir", t_mkdir, R, 0, MC, 0, 0},
	{"mkfifo", t_mkfifo, R, 0, MC, 0, 0},
	{"mknod", t_mknod, R, 0, MC, 0, 0},
	{"symlink", t_symlink, R, 0, MC, 0, 0},
	{"link", t_link, R, C, 0, MC, 0},
	{"link of a fifo", t_link, CONFORM_FIFO, C, 0, MC, 0},
	{"link of a symlink", t_link, CONFORM_LNK, C, 0, MC, 0},
	{"unlink", t_unlink, R, C, MC, 0, 0},
	{"unlink of a socket", t_unlink, CONFORM_SOCK, C, MC, 0, 0},
	{"rmdir", t_rmdir, CONFORM_DIR, 0, MC, 0, 0},
	{"rename", t_rename, R, C, MC, MC, 0},
	{"rename of a directory", t_rename, CONFORM_DIR, C, MC, MC, 0},
	{"rename of a symlink", t_rename, CONFORM_LNK, C, MC, MC, 0},
	{"rename inside", t_rename_inside, R, C, MC, 0, 0},
	{"rename over", t_rename_over, R, C, MC, MC, 0},
	{"rename of one file's names", t_rename_same, R, C, MC, 0, 0},
	{"exchange", t_exchange, R, C, MC, MC, 0},
	{"chmod", t_chmod, R, C, 0, 0, 0},
	{"chmod of a directory", t_chmod, CONFORM_DIR, C, 0, 0, 0},
	{"chown", t_chown, R, C, 0, 0, 0},
	{"chown of a symlink", t_chown, CONFORM_LNK, C, 0, 0, 0},
	{"setxattr", t_setxattr, R, C, 0, 0, 0},
	{"setxattr of a symlink", t_setxattr, CONFORM_LNK, C, 0, 0, 0},
	{"setxattr of a directory", t_setxattr, CONFORM_DIR, C, 0, 0, 0},
	{"write", t_write, R, MC, 0, 0, 0},
	{"write of nothing", t_write_nothing, R, 0, 0, 0, 0},
	{"write O_SYNC", t_write_sync, R, MC, 0, 0, 0},
	{"fsync", t_fsync, R, 0, 0, 0, 0},
	{"truncate", t_truncate, R, MC, 0, 0, 0},
	{"truncate up", t_grow, R, MC, 0, 0, 0},
	{"ftruncate", t_ftruncate, R, MC, 0, 0, 0},
	{"ftruncate to the same size", t_ftruncate_same, R, MC, 0, 0, 0},
	{"open O_TRUNC", t_open_trunc, R, MC, 0, 0, 0},
	{"fallocate", t_fallocate, R, MC, 0, 0, 0},
	{"punch", t_punch, R, MC, 0, 0, 0},
	{"copy_file_range", t_copy, R, MC, 0, 0, 0},
	{"mmap", t_mmap, R, MC | TIMES_MAY_A, 0, 0, 0},
	{"read", t_read, R, A, 0, 0, 0},
	{"read of nothing", t_read_nothing, R, 0, 0, 0, 0},
	{"read O_NOATIME", t_noatime, R, 0, 0, 0, 0},
	{"readdir", t_readdir, CONFORM_DIR, A, 0, 0, 0},
	{"readlink", t_readlink, CONFORM_LNK, A, 0, 0, 0},
	{"a byte through a fifo", t_fifo, CONFORM_FIFO, TIMES_ALL, 0, 0, 0},
	{NULL, NULL, R, 0, 0, 0, 0},
};

/* By OTHER, to whom nothing is permitted, or in the way of something. */
static const struct times_case times_bad[] = {
	{"creat", t_creat, R, 0, 0, 0, EACCES},
	{"mkdir", t_mkdir, R, 0, 0, 0, EACCES},
	{"mkfifo", t_mkfifo, R, 0, 0, 0, EACCES},
	{"symlink", t_symlink, R, 0, 0, 0, EACCES},
	{"unlink", t_unlink, R, 0, 0, 0, EACCES},
	{"rmdir", t_rmdir, CONFORM_DIR, 0, 0, 0, EACCES},
	{"rename", t_rename, R, 0, 0, 0, EACCES},
	{"rename over", t_rename_over, R, 0, 0, 0, EACCES},
	{"chmod", t_chmod, R, 0, 0, 0, EPERM},
	{"chown", t_chown, R, 0, 0, 0, EPERM},
	{"setxattr", t_setxattr, R, 0, 0, 0, EPERM},
	{"removexattr", t_removexattr, R, 0, 0, 0, EPERM},
	{"getxattr", t_getxattr, R, 0, 0, 0, ENODATA},
	{"truncate", t_truncate, R, 0, 0, 0, EACCES},
	{"open O_TRUNC", t_open_trunc, R, 0, 0, 0, EACCES},
	{NULL, NULL, R, 0, 0, 0, 0},
};

#undef R
#undef A
#undef C
#undef MC

static void times_setup(enum conform_kind kind)
{
	if (kind == CONFORM_REG)
		conform_fill("d/x", "nine char");
	else
		conform_make(kind, "d/x", 0755, CONFORM_ROOT);
	if (kind != CONFORM_DIR)
		GOOD(link("d/x", "y"));
	conform_fill("e/z", "nine char");
}

static void times_wipe(void)
{
	static const char *const names[] = {
		"d/x", "d/new", "d/other", "d/w", "e/new", "e/z", "y", NULL};

	for (unsigned i = 0; names[i]; i++)
		conform_wipe(names[i]);
}

static void times_once(const struct times_case *c, enum conform_who who)
{
	struct stat x, d, e, now;
	unsigned changed;
	const char *name = c->kind == CONFORM_DIR ? "d/x" : "y";
	bool there;

	times_setup(c->kind);
	x = conform_stat("d/x");
	d = conform_stat("d");
	e = conform_stat("e");
	conform_tick();
	ABOUT("%s", c->name);
	conform_as(who);
	CODE(c->run(), c->code);
	conform_as(CONFORM_ROOT);
	ABOUT("times after %s (atime 1, mtime 2, ctime 4)", c->name);
	there = conform_there(name);
	if (there || conform_there("e/new")) {
		now = conform_stat(there ? name : "e/new");
		changed = times_changed(&x, &now);
		/* what comes from the kernel's pages no daemon hears of */
		if (c->object & TIMES_MAY_A ||
			(conform_fuse() && c->run == t_read))
			SAME(changed & ~TIMES_A, c->object & TIMES_MC);
		else
			SAME(changed, c->object);
	}
	now = conform_stat("d");
	SAME(times_changed(&d, &now), c->d);
	now = conform_stat("e");
	SAME(times_changed(&e, &now), c->e);
	times_wipe();
}

static void times_of_calls(void)
{
	struct statvfs fs;

	GOOD(mkdir("d", 0755));
	GOOD(mkdir("e", 0755));
	GOOD(statvfs(".", &fs));
	for (const struct times_case *c = times_good; c->name; c++)
		if (!(fs.f_flag & ST_NOATIME && c->object == TIMES_A) &&
			!(conform_fuse() && c->run == t_fifo))
			times_once(c, CONFORM_ROOT);
}

static void times_of_failures(void)
{
	GOOD(mkdir("d", 0755));
	GOOD(mkdir("e", 0755));
	for (const struct times_case *c = times_bad; c->name; c++)
		times_once(c, CONFORM_OTHER);
}

const struct conform_group conform_times[] = {
	{"times of all that calls touch", times_of_calls},
	{"times when calls fail", times_of_failures},
	{NULL, NULL},
};
