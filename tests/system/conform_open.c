/* open and its flags; descriptors and what they allow. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conform.h"

static int open_close(const char *name, int flags)
{
	const int fd = open(name, flags, 0644);

	return fd < 0 ? -1 : close(fd);
}

/* Each flag for each kind of object, as root. */
static void open_kinds(void)
{
	static const struct {
		const char *name;
		int flags;
		int code[CONFORM_KINDS]; /* in their order */
	} cases[] = {
		{"O_RDONLY", O_RDONLY, {0, 0, 0, ENXIO, ENOENT, 0, 0}},
		{"O_WRONLY", O_WRONLY, {0, EISDIR, ENXIO, ENXIO, ENOENT, 0, 0}},
		{"O_RDWR", O_RDWR, {0, EISDIR, 0, ENXIO, ENOENT, 0, 0}},
		{"O_DIRECTORY", O_DIRECTORY,
			{ENOTDIR, 0, ENOTDIR, ENOTDIR, ENOENT, ENOTDIR,
				ENOTDIR}},
		{"O_NOFOLLOW", O_NOFOLLOW, {0, 0, 0, ENXIO, ELOOP, 0, 0}},
		{"O_PATH", O_PATH, {0, 0, 0, 0, ENOENT, 0, 0}},
		{"O_PATH | O_NOFOLLOW", O_PATH | O_NOFOLLOW,
			{0, 0, 0, 0, 0, 0, 0}},
		{"O_CREAT | O_EXCL", O_CREAT | O_EXCL | O_RDWR,
			{EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST,
				EEXIST}},
		{"O_CREAT", O_CREAT | O_RDWR, {0, EISDIR, 0, ENXIO, 0, 0, 0}},
		{"O_TRUNC", O_TRUNC | O_WRONLY,
			{0, EISDIR, ENXIO, ENXIO, ENOENT, 0, 0}},
		{"O_NOFOLLOW | O_CREAT", O_NOFOLLOW | O_CREAT | O_RDWR,
			{0, EISDIR, 0, ENXIO, ELOOP, 0, 0}},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (unsigned k = 0; k < CONFORM_REG + CONFORM_CHR; k++) {
			ABOUT("open of a %s, %s", conform_kind(k),
				cases[i].name);
			conform_wipe("target");
			conform_make(k, "x", 0755, CONFORM_ROOT);
			CODE(open_close("x", cases[i].flags | O_NONBLOCK),
				cases[i].code[k]);
			conform_wipe("x");
		}
	/* through a dangling link a file comes to be, but not with O_EXCL */
	TRUE(conform_there("target") == 0);
	GOOD(symlink("target", "s"));
	CODE(open_close("s", O_CREAT | O_EXCL | O_WRONLY), EEXIST);
	TRUE(conform_there("target") == 0);
	GOOD(open_close("s", O_CREAT | O_WRONLY));
	TRUE(conform_there("target"));
}

static void open_trunc(void)
{
	int fd;

	ABOUT("O_TRUNC");
	conform_fill("x", "text");
	CODE(open_close("x", O_CREAT | O_EXCL | O_TRUNC | O_WRONLY), EEXIST);
	TRUE(conform_holds("x", "text"));
	GOOD(chmod("x", 0444));
	conform_as(CONFORM_OWNER);
	CODE(open_close("x", O_TRUNC | O_WRONLY), EACCES);
	CODE(open_close("x", O_TRUNC | O_RDONLY), EACCES);
	conform_as(CONFORM_ROOT);
	TRUE(conform_holds("x", "text"));
	fd = open("x", O_RDONLY);
	GOOD(open_close("x", O_TRUNC | O_WRONLY));
	SAME(lseek(fd, 0, SEEK_END), 0);
	GOOD(close(fd));
	/* a new file may be written by who made it, whatever its mode */
	conform_as(CONFORM_OWNER);
	fd = open("new", O_CREAT | O_EXCL | O_RDWR, 0);
	GOOD(fd);
	SAME(write(fd, "mine", 4), 4);
	GOOD(close(fd));
	CODE(open_close("new", O_RDONLY), EACCES);
	CODE(open_close("new", O_CREAT | O_RDWR), EACCES);
	conform_as(CONFORM_ROOT);
	TRUE(conform_holds("new", "mine"));
}

static void open_append(void)
{
	char got[64] = "";
	int a, b;

	ABOUT("O_APPEND");
	a = open("x", O_CREAT | O_WRONLY | O_APPEND, 0644);
	b = open("x", O_RDWR);
	SAME(write(a, "one", 3), 3);
	SAME(write(b, "two", 3), 3);
	SAME(write(a, "three", 5), 5);
	SAME(lseek(a, 0, SEEK_SET), 0);
	SAME(write(a, "four", 4), 4);
	SAME(lseek(a, 0, SEEK_CUR), 12);
	SAME(pwrite(a, "five", 4, 0), 4); /* Linux appends, here too */
	SAME(pread(b, got, sizeof(got), 0), 16);
	SAME(strcmp(got, "twothreefourfive"), 0);
	GOOD(ftruncate(a, 3));
	SAME(write(a, "!", 1), 1);
	SAME(lseek(b, 0, SEEK_END), 4);
	GOOD(fcntl(a, F_SETFL, 0));
	SAME(lseek(a, 0, SEEK_SET), 0);
	SAME(write(a, "0", 1), 1);
	GOOD(close(a));
	GOOD(close(b));
	TRUE(conform_holds("x", "0wo!"));
}

/* What a descriptor was not opened for. */
static void open_rights(void)
{
	char c;
	int r, w, p, d;

	ABOUT("descriptors");
	conform_fill("x", "text");
	r = open("x", O_RDONLY);
	w = open("x", O_WRONLY);
	p = open("x", O_PATH);
	d = open(".", O_RDONLY);
	CODE(write(r, "w", 1), EBADF);
	CODE(read(w, &c, 1), EBADF);
	CODE(pwrite(r, "w", 1, 0), EBADF);
	CODE(pread(w, &c, 1, 0), EBADF);
	CODE(ftruncate(r, 0), EINVAL);
	CODE(fallocate(r, 0, 0, 1), EBADF);
	CODE(read(p, &c, 1), EBADF);
	CODE(fchmod(p, 0600), EBADF);
	CODE(fsync(p), EBADF);
	CODE(read(d, &c, 1), EISDIR);
	CODE(write(d, "w", 1), EBADF);
	CODE(ftruncate(d, 0), EINVAL);
	CODE(fallocate(d, 0, 0, 1), EBADF);
	CODE(copy_file_range(w, NULL, w, NULL, 1, 0), EBADF);
	CODE(copy_file_range(r, NULL, r, NULL, 1, 0), EBADF);
	CODE(pread(r, &c, 1, -1), EINVAL);
	CODE(pwrite(w, &c, 1, -1), EINVAL);
	CODE(lseek(r, -1, SEEK_SET), EINVAL);
	CODE(lseek(r, 1, 99), EINVAL);
	CODE(lseek(r, 5, SEEK_DATA), ENXIO);
	SAME(lseek(r, 0, SEEK_DATA), 0);
	SAME(lseek(r, 1, SEEK_HOLE), 4);
	CODE(lseek(r, 4, SEEK_HOLE), ENXIO);
	SAME(pread(r, &c, 1, 4), 0);
	SAME(pread(r, &c, 1, 4000000000000ll), 0);
	CODE((long)(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, r, 0) == MAP_FAILED
			     ? -1
			     : 0),
		EACCES);
	GOOD(fchmod(r, 0600));
	GOOD(fsync(r));
	GOOD(fsync(d));
	GOOD(fdatasync(w));
	(void)close(r);
	(void)close(w);
	(void)close(p);
	(void)close(d);
	CODE(fsync(r), EBADF);
}

static void open_noatime(void)
{
	conform_make(CONFORM_REG, "x", 0666, CONFORM_OWNER);
	for (unsigned who = 0; who < CONFORM_WHOS; who++) {
		ABOUT("O_NOATIME");
		conform_as(who);
		EITHER(open_close("x", O_RDONLY | O_NOATIME),
			who <= CONFORM_OWNER, EPERM);
	}
}

/* --- running programs ---------------------------------------------------- */

static int open_exec(const char *name)
{
	char self[64];
	char wait[] = "60";
	char *const argv[] = {self, wait, NULL};
	char *const envp[] = {NULL};

	(void)snprintf(self, sizeof(self), "%s", name);
	(void)execve(self, argv, envp);
	return errno;
}

static void open_copy(const char *from, const char *to)
{
	static char buf[1 << 20];
	const int in = open(from, O_RDONLY);
	const int out = open(to, O_CREAT | O_WRONLY, 0755);
	ssize_t n;

	GOOD(in);
	GOOD(out);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		SAME(write(out, buf, (size_t)n), n);
	GOOD(close(out));
	GOOD(close(in));
}

static void open_busy(void)
{
	const struct timespec nap = {0, 20000000};
	int status;
	int fd;
	pid_t pid;

	ABOUT("a program that is open for writing, and one that runs");
	open_copy("/bin/sleep", "sleep");
	fd = open("sleep", O_WRONLY);
	SAME(conform_fork(open_exec, "sleep"), ETXTBSY);
	GOOD(close(fd));
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(open_exec("sleep"));
	/* until it is what it was told to become */
	for (unsigned i = 0; i < 500; i++) {
		fd = open("sleep", O_WRONLY);
		if (fd < 0)
			break;
		(void)close(fd);
		(void)nanosleep(&nap, NULL);
	}
	CODE(open_close("sleep", O_WRONLY), ETXTBSY);
	CODE(open_close("sleep", O_RDWR), ETXTBSY);
	CODE(open_close("sleep", O_WRONLY | O_TRUNC), ETXTBSY);
	CODE(open_close("sleep", O_RDONLY | O_TRUNC), ETXTBSY);
	CODE(truncate("sleep", 0), ETXTBSY);
	GOOD(open_close("sleep", O_RDONLY));
	GOOD(chmod("sleep", 0700));
	GOOD(rename("sleep", "sheep"));
	GOOD(unlink("sheep"));
	(void)kill(pid, SIGKILL);
	SAME(waitpid(pid, &status, 0), pid);
}

const struct conform_group conform_open[] = {
	{"open of every kind with every flag", open_kinds},
	{"open that truncates", open_trunc},
	{"open that appends", open_append},
	{"open and what it was not for", open_rights},
	{"open that leaves atime", open_noatime},
	{"open of programs", open_busy},
	{NULL, NULL},
};
