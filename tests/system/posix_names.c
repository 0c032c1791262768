/*
 * posix_names DIR - names, links, modes, times, owners, attributes: what
 * programs ask of a directory, and what it has to refuse.
 */
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "posix.h"

#define LIST_NAMES 5000u
#define NOBODY 65534u

static void make(const char *name, const char *text)
{
	const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	WANT(fd >= 0);
	WANT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	WANT(close(fd) == 0);
}

static int holds(const char *name, const char *text)
{
	char got[64] = "";
	const int fd = open(name, O_RDONLY);
	const ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got) - 1);

	if (fd >= 0)
		(void)close(fd);
	return n >= 0 && strcmp(got, text) == 0;
}

static ino_t ino(const char *name)
{
	struct stat st = {0};

	WANT(lstat(name, &st) == 0);
	return st.st_ino;
}

static nlink_t links(const char *name)
{
	struct stat st = {0};

	WANT(lstat(name, &st) == 0);
	return st.st_nlink;
}

static int gone(const char *name)
{
	return access(name, F_OK) < 0 && errno == ENOENT;
}

/* --- rename -------------------------------------------------------------- */

static int rename_files(void)
{
	ino_t was;

	make("a", "one");
	make("b", "two");
	was = ino("a");
	WANT(rename("a", "b") == 0);
	WANT(gone("a") && holds("b", "one") && ino("b") == was);
	WANT(link("b", "c") == 0);
	WANT(rename("b", "c") == 0); /* two names of one file: nothing */
	WANT(ino("b") == was && ino("c") == was && links("c") == 2);
	WANT_ERR(rename("none", "c"), ENOENT);
	WANT_ERR(rename("c", "none/c"), ENOENT);
	return 0;
}

static int rename_dirs(void)
{
	WANT(mkdir("d", 0755) == 0 && mkdir("e", 0755) == 0);
	make("d/in", "deep");
	WANT(links(".") == 4);
	WANT(rename("d", "e") == 0); /* onto an empty one */
	WANT(gone("d") && holds("e/in", "deep") && links(".") == 3);
	WANT(mkdir("d", 0755) == 0);
	WANT_ERR(rename("d", "e"), ENOTEMPTY);
	WANT(holds("e/in", "deep"));
	WANT(mkdir("e/f", 0755) == 0 && links("e") == 3);
	WANT_ERR(rename("e", "e/f/g"), EINVAL);
	WANT_ERR(rename("e", "e/f"), EINVAL);
	WANT_ERR(rename("e/f", "e"), ENOTEMPTY);
	make("file", "x");
	WANT_ERR(rename("file", "d"), EISDIR);
	WANT_ERR(rename("d", "file"), ENOTDIR);
	WANT(rename("e/f", "d/f") == 0 && links("e") == 2 && links("d") == 3);
	WANT(chdir("d/f") == 0 && ino("..") == ino("../../d"));
	WANT(chdir("../..") == 0);
	WANT_ERR(rmdir("d"), ENOTEMPTY);
	WANT_ERR(rmdir("file"), ENOTDIR);
	WANT_ERR(unlink("d"), EISDIR);
	return 0;
}

static int rename_flags(void)
{
	ino_t file, dir;

	make("a", "one");
	make("b", "two");
	WANT_ERR(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE),
		EEXIST);
	WANT(holds("a", "one") && holds("b", "two"));
	WANT(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE) == 0);
	WANT(gone("a") && holds("c", "one"));
	WANT(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_EXCHANGE) == 0);
	WANT(holds("b", "one") && holds("c", "two"));
	WANT_ERR(renameat2(AT_FDCWD, "b", AT_FDCWD, "z", RENAME_EXCHANGE),
		ENOENT);
	WANT(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0);
	file = ino("b");
	dir = ino("d/e");
	WANT(renameat2(AT_FDCWD, "b", AT_FDCWD, "d/e", RENAME_EXCHANGE) == 0);
	WANT(ino("b") == dir && ino("d/e") == file && links("d") == 2);
	WANT_ERR(renameat2(AT_FDCWD, "d", AT_FDCWD, "d/e", RENAME_EXCHANGE),
		EINVAL);
	return 0;
}

/* --- links and odd files ------------------------------------------------- */

static int link_rules(void)
{
	char to[4096];
	char target[4096];
	struct stat st;

	make("a", "one");
	WANT(link("a", "b") == 0 && links("a") == 2 && ino("a") == ino("b"));
	make("b", "new");
	WANT(holds("a", "new"));
	WANT_ERR(link("a", "b"), EEXIST);
	WANT(unlink("a") == 0 && links("b") == 1 && holds("b", "new"));
	WANT(mkdir("d", 0755) == 0);
	WANT_ERR(link("d", "e"), EPERM);
	memset(target, 't', sizeof(target) - 1);
	target[4095] = 0;
	WANT(symlink(target, "long") == 0);
	WANT(readlink("long", to, sizeof(to)) == 4095);
	WANT(memcmp(to, target, 4095) == 0);
	WANT(symlink("b", "s") == 0 && holds("s", "new"));
	WANT(lstat("s", &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 1);
	WANT(symlink("loop", "loop") == 0);
	WANT_ERR(open("loop", O_RDONLY), ELOOP);
	WANT_ERR(open("b/x", O_RDONLY), ENOTDIR);
	WANT_ERR(open("s", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	WANT_ERR(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
	return 0;
}

static int unlink_open(void)
{
	char got[16] = "";
	int fd = open("a", O_RDWR | O_CREAT, 0600);
	struct stat st;

	WANT(fd >= 0 && write(fd, "before", 6) == 6);
	WANT(unlink("a") == 0 && gone("a"));
	WANT(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 6);
	WANT(pwrite(fd, "after", 5, 6) == 5);
	WANT(fsync(fd) == 0);
	WANT(pread(fd, got, 16, 0) == 11 && !memcmp(got, "beforeafter", 11));
	WANT(fchmod(fd, 0640) == 0 && ftruncate(fd, 3) == 0);
	WANT(fstat(fd, &st) == 0 && st.st_size == 3 &&
		(st.st_mode & 07777) == 0640);
	make("a", "other");
	WANT(close(fd) == 0 && holds("a", "other"));
	make("b", "target");
	fd = open("b", O_RDONLY);
	WANT(rename("a", "b") == 0);
	WANT(read(fd, got, 16) == 6 && !memcmp(got, "target", 6));
	WANT(close(fd) == 0);
	return 0;
}

static int fifo_works(void)
{
	char got[8] = "";
	struct stat st;
	int fd, status = 1;
	pid_t pid;

	WANT(mkfifo("pipe", 0600) == 0);
	WANT(lstat("pipe", &st) == 0 && S_ISFIFO(st.st_mode));
	pid = fork();
	if (pid == 0) {
		fd = open("pipe", O_WRONLY);
		_exit(write(fd, "through", 7) != 7);
	}
	fd = open("pipe", O_RDONLY);
	WANT(read(fd, got, 8) == 7 && memcmp(got, "through", 7) == 0);
	WANT(waitpid(pid, &status, 0) == pid && status == 0);
	WANT(close(fd) == 0);
	return 0;
}

/* --- attributes ---------------------------------------------------------- */

static int times_exact(void)
{
	static const struct timespec when[][2] = {
		{{1, 1}, {1000000000, 999999999}},
		{{-1, 123456789}, {-2000000000, 5}}, /* before 1970 */
		{{4102444800, 7}, {4e9, 8}}, /* behind 2038 */
		{{0, 0}, {0, 0}},
	};
	struct stat st;

	make("a", "x");
	for (unsigned i = 0; i < 4; i++) {
		WANT(utimensat(AT_FDCWD, "a", when[i], 0) == 0);
		WANT(stat("a", &st) == 0);
		WANT(st.st_atim.tv_sec == when[i][0].tv_sec &&
			st.st_atim.tv_nsec == when[i][0].tv_nsec);
		WANT(st.st_mtim.tv_sec == when[i][1].tv_sec &&
			st.st_mtim.tv_nsec == when[i][1].tv_nsec);
	}
	WANT(symlink("a", "s") == 0);
	WANT(utimensat(AT_FDCWD, "s", when[0], AT_SYMLINK_NOFOLLOW) == 0);
	WANT(lstat("s", &st) == 0 && st.st_mtim.tv_sec == 1000000000);
	WANT(stat("a", &st) == 0 && st.st_mtim.tv_sec == 0);
	WANT(truncate("a", 0) == 0);
	WANT(stat("a", &st) == 0 && st.st_mtim.tv_sec > 1000000000);
	return 0;
}

static int modes_owners(void)
{
	struct stat st;
	mode_t old;
	int fd;

	make("a", "x");
	for (mode_t m = 0; m <= 07777; m += 0123) {
		WANT(chmod("a", m) == 0 && stat("a", &st) == 0);
		WANT((st.st_mode & 07777) == m);
	}
	old = umask(027);
	fd = open("m", O_CREAT | O_WRONLY, 0666);
	WANT(fd >= 0 && close(fd) == 0 && mkdir("n", 0777) == 0);
	(void)umask(old);
	WANT(stat("m", &st) == 0 && (st.st_mode & 07777) == 0640);
	WANT(stat("n", &st) == 0 && (st.st_mode & 07777) == 0750);
	if (geteuid() != 0)
		return 0;
	WANT(chown("a", 1234567890, 4000000000u) == 0);
	WANT(stat("a", &st) == 0 && st.st_uid == 1234567890 &&
		st.st_gid == 4000000000u);
	WANT(symlink("a", "s") == 0 && lchown("s", 1, 2) == 0);
	WANT(lstat("s", &st) == 0 && st.st_uid == 1 && st.st_gid == 2);
	WANT(mkdir("g", 0755) == 0 && chown("g", 0, 4242) == 0 &&
		chmod("g", 02775) == 0 && mkdir("g/sub", 0755) == 0);
	make("g/file", "x");
	WANT(stat("g/sub", &st) == 0 && st.st_gid == 4242 &&
		(st.st_mode & S_ISGID));
	WANT(stat("g/file", &st) == 0 && st.st_gid == 4242 &&
		!(st.st_mode & S_ISGID));
	return 0;
}

static int xattr_rules(void)
{
	static char big[65536];
	char got[512];
	ssize_t n;

	make("a", "x");
	WANT_ERR(getxattr("a", "user.k", got, 512), ENODATA);
	WANT_ERR(setxattr("a", "user.k", "v", 1, XATTR_REPLACE), ENODATA);
	WANT(setxattr("a", "user.k", "v\0w", 3, XATTR_CREATE) == 0);
	WANT_ERR(setxattr("a", "user.k", "z", 1, XATTR_CREATE), EEXIST);
	WANT(getxattr("a", "user.k", NULL, 0) == 3);
	WANT_ERR(getxattr("a", "user.k", got, 2), ERANGE);
	WANT(getxattr("a", "user.k", got, 512) == 3 && !memcmp(got, "v\0w", 3));
	WANT(setxattr("a", "user.k", "zz", 2, XATTR_REPLACE) == 0);
	WANT(setxattr("a", "user.empty", "", 0, 0) == 0);
	WANT(getxattr("a", "user.empty", got, 512) == 0);
	WANT(setxattr("a", "user.big", big, 60000, 0) == 0);
	WANT(getxattr("a", "user.big", big, sizeof(big)) == 60000);
	n = listxattr("a", got, sizeof(got));
	WANT(n > 0 && memmem(got, (size_t)n, "user.k", 7) &&
		memmem(got, (size_t)n, "user.empty", 11));
	WANT(listxattr("a", NULL, 0) == n);
	WANT_ERR(listxattr("a", got, 3), ERANGE);
	WANT(removexattr("a", "user.k") == 0);
	WANT_ERR(removexattr("a", "user.k"), ENODATA);
	WANT(mkdir("d", 0755) == 0 &&
		setxattr("d", "user.dir", "y", 1, 0) == 0 &&
		getxattr("d", "user.dir", got, 512) == 1);
	WANT(rename("a", "b") == 0 &&
		getxattr("b", "user.empty", got, 512) == 0);
	return 0;
}

/* --- names and listings -------------------------------------------------- */

static int odd_names(void)
{
	char name[257];
	struct stat st;
	int n = 0;
	DIR *d;

	memset(name, 'n', 256);
	name[256] = 0;
	WANT_ERR(open(name, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
	WANT_ERR(mkdir(name, 0755), ENAMETOOLONG);
	WANT_ERR(symlink("x", name), ENAMETOOLONG);
	WANT_ERR(stat(name, &st), ENAMETOOLONG);
	name[255] = 0;
	make(name, "long");
	WANT(holds(name, "long"));
	for (int c = 1; c < 256; c++) {
		const char one[3] = {(char)c, 'z', 0};

		if (c != '/')
			make(one, one);
	}
	for (int c = 1; c < 256; c++) {
		const char one[3] = {(char)c, 'z', 0};

		WANT(c == '/' || holds(one, one));
	}
	d = opendir(".");
	while (d && readdir(d))
		n++;
	WANT(d && closedir(d) == 0 && n == 254 + 1 + 2);
	return 0;
}

/* Names that stay are seen once each, whatever goes meanwhile. */
static int list_while_unlinking(void)
{
	static unsigned char seen[LIST_NAMES];
	char name[16];
	struct dirent *e;
	unsigned n, met = 0;
	DIR *d;

	for (n = 0; n < LIST_NAMES; n++) {
		(void)snprintf(name, sizeof(name), "%u", n);
		WANT(mknod(name, S_IFREG | 0600, 0) == 0);
	}
	d = opendir(".");
	while (d && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		n = (unsigned)strtoul(e->d_name, NULL, 10);
		WANT(n < LIST_NAMES && ++seen[n % LIST_NAMES] == 1);
		/* every other name goes, before or behind the reader */
		(void)snprintf(
			name, sizeof(name), "%u", (met++ * 2 + 1) % LIST_NAMES);
		(void)unlink(name);
	}
	WANT(d != NULL);
	for (n = 0; n < LIST_NAMES; n += 2)
		WANT(seen[n] == 1);
	rewinddir(d);
	for (met = 0; (e = readdir(d)) != NULL;)
		met += e->d_name[0] != '.';
	WANT(met >= LIST_NAMES / 2 && met < LIST_NAMES);
	WANT(closedir(d) == 0);
	return 0;
}

/* --- others -------------------------------------------------------------- */

static void nobody_tries(void)
{
	struct stat st;
	char got[8];

	WANT(open("secret", O_RDONLY) < 0 && errno == EACCES);
	WANT(open("public", O_RDONLY) >= 0);
	WANT_ERR(open("public", O_WRONLY), EACCES);
	WANT_ERR(open("new", O_CREAT | O_WRONLY, 0600), EACCES);
	WANT_ERR(unlink("public"), EACCES);
	WANT_ERR(chmod("public", 0666), EPERM);
	WANT_ERR(chown("public", NOBODY, NOBODY), EPERM);
	WANT_ERR(truncate("public", 0), EACCES);
	WANT_ERR(setxattr("public", "user.x", "y", 1, 0), EACCES);
	WANT_ERR(utimensat(AT_FDCWD, "public", NULL, 0), EACCES);
	WANT_ERR(stat("closed/in", &st), EACCES);
	WANT_ERR(unlink("sticky/theirs"), EPERM);
	WANT_ERR(rename("sticky/theirs", "sticky/x"), EPERM);
	make("sticky/mine", "mine");
	WANT(stat("sticky/mine", &st) == 0 && st.st_uid == NOBODY);
	WANT_ERR(chown("sticky/mine", 0, (gid_t)-1), EPERM);
	WANT(chmod("sticky/mine", 0600) == 0);
	WANT(unlink("sticky/mine") == 0);
	WANT(getxattr("public", "user.seen", got, 8) == 1);
}

static int permissions(void)
{
	struct stat st;
	int status = 1;
	pid_t pid;

	if (geteuid() != 0)
		return 0;
	make("secret", "s");
	make("public", "p");
	WANT(chmod("secret", 0600) == 0);
	WANT(setxattr("public", "user.seen", "1", 1, 0) == 0);
	WANT(mkdir("closed", 0700) == 0 && mkdir("sticky", 0755) == 0 &&
		chmod("sticky", 01777) == 0);
	make("closed/in", "x");
	make("sticky/theirs", "x");
	make("setuid", "x");
	WANT(chmod("setuid", 06777) == 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		WANT(setgroups(0, NULL) == 0 &&
			setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
			setresuid(NOBODY, NOBODY, NOBODY) == 0);
		nobody_tries();
		fd = open("setuid", O_WRONLY);
		WANT(fd >= 0 && write(fd, "y", 1) == 1 && close(fd) == 0);
		(void)fflush(stdout);
		_exit(posix_wrong > 0);
	}
	WANT(waitpid(pid, &status, 0) == pid && status == 0);
	/* who writes into a set-user-id program takes the bit away */
	WANT(stat("setuid", &st) == 0 && (st.st_mode & 07777) == 0777);
	WANT(holds("public", "p"));
	return 0;
}

int main(int argc, char **argv)
{
	static const struct posix_case cases[] = {
		{"rename: files", rename_files},
		{"rename: directories", rename_dirs},
		{"rename: NOREPLACE and EXCHANGE", rename_flags},
		{"hard and symbolic links", link_rules},
		{"a file without a name", unlink_open},
		{"fifo", fifo_works},
		{"times to the nanosecond, 1906 to 2100", times_exact},
		{"modes, umask, owners, set-group-id", modes_owners},
		{"extended attributes", xattr_rules},
		{"names of any bytes, 255 of them", odd_names},
		{"5000 names listed while they go", list_while_unlinking},
		{"permissions of another user", permissions},
		{NULL, NULL},
	};

	return argc == 2 ? posix_main(argv[1], cases) : 2;
}
