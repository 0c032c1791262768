/*
 * conform DIR [OTHER [WORD]] - what POSIX and Linux promise of a filesystem,
 * asked of the one at DIR, as root and as ordinary users. OTHER is a directory
 * on another filesystem. One line a group: "RIGHT" or "WRONG", with the number
 * of assertions. WORD chooses groups.
 *
 * conform -r DIR: the same DIR, which is read-only by now.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conform.h"

#define CONFORM_TOLD 12u /* wrong answers of one group that are told */

static struct {
	char about[512];
	const char *other;
	const char *bad;
	unsigned long checked, wrong; /* in this group */
	unsigned long all, all_wrong;
	enum conform_who who;
	bool fuse, readonly;
	jmp_buf next; /* group, when this one cannot go on */
} conform;

static void __attribute__((noreturn))
conform_die(const char *what, const char *name)
{
	printf("# %s [%s]: %s %.80s: %s\n", conform.about,
		conform_name(conform.who), what, name, strerror(errno));
	conform.checked++;
	conform.wrong++;
	longjmp(conform.next, 1);
}

bool conform_fuse(void)
{
	return conform.fuse;
}

const char *conform_other(void)
{
	return conform.other;
}

/* --- who ----------------------------------------------------------------- */

void conform_as(enum conform_who who)
{
	gid_t groups[2] = {CONFORM_GID(who), CONFORM_GID(CONFORM_OWNER)};
	const size_t n = who == CONFORM_MEMBER ? 2 : 1;

	if (setresuid(0, 0, 0) < 0 ||
		setresgid(CONFORM_GID(who), CONFORM_GID(who), 0) < 0 ||
		setgroups(n, groups) < 0 ||
		setresuid(CONFORM_UID(who), CONFORM_UID(who), 0) < 0)
		conform_die("becoming", conform_name(who));
	conform.who = who;
}

enum conform_who conform_now(void)
{
	return conform.who;
}

const char *conform_name(enum conform_who who)
{
	static const char *const names[CONFORM_WHOS] = {
		"root", "the owner", "a member", "another"};

	return names[who];
}

void conform_about(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(conform.about, sizeof(conform.about), fmt, ap);
	va_end(ap);
}

/* --- assertions ---------------------------------------------------------- */

static bool conform_count(bool right)
{
	conform.checked++;
	conform.wrong += !right;
	return right || conform.wrong > CONFORM_TOLD;
}

bool conform_good(const char *where, const char *text, long r)
{
	const int e = errno;

	if (!conform_count(r >= 0))
		printf("# %s: %s [%s]: %s: %s\n", where, conform.about,
			conform_name(conform.who), text, strerror(e));
	return r >= 0;
}

bool conform_code(const char *where, const char *text, long r, int code)
{
	const int got = r < 0 ? errno : 0;

	if (!conform_count(got == code))
		printf("# %s: %s [%s]: %s: %s, not %s\n", where, conform.about,
			conform_name(conform.who), text, strerror(got),
			strerror(code));
	return got == code;
}

bool conform_same(
	const char *where, const char *text, long long got, long long wanted)
{
	const bool octal = strstr(text, "mode") != NULL;
	char was[24], not [24];

	if (conform_count(got == wanted))
		return got == wanted;
	(void)snprintf(was, sizeof(was), octal ? "0%llo" : "%lld", got);
	(void)snprintf(not, sizeof(not ), octal ? "0%llo" : "%lld", wanted);
	printf("# %s: %s [%s]: %s: %s, not %s\n", where, conform.about,
		conform_name(conform.who), text, was, not );
	return got == wanted;
}

/* --- objects ------------------------------------------------------------- */

const char *conform_kind(enum conform_kind kind)
{
	static const char *const names[CONFORM_KINDS] = {"file", "directory",
		"fifo", "socket", "symlink", "chardev", "blockdev"};

	return names[kind];
}

mode_t conform_format(enum conform_kind kind)
{
	static const mode_t formats[CONFORM_KINDS] = {
		S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFLNK, S_IFCHR, S_IFBLK};

	return formats[kind];
}

static int conform_create(enum conform_kind kind, const char *name)
{
	if (kind == CONFORM_DIR)
		return mkdir(name, 0700);
	if (kind == CONFORM_LNK)
		return symlink("target", name);
	return mknod(name, conform_format(kind) | 0600,
		kind >= CONFORM_CHR ? makedev(1, 3) : 0);
}

void conform_make(enum conform_kind kind, const char *name, mode_t mode,
	enum conform_who who)
{
	const enum conform_who was = conform.who;

	conform_as(CONFORM_ROOT);
	if (conform_create(kind, name) < 0 ||
		lchown(name, CONFORM_UID(who), CONFORM_GID(who)) < 0 ||
		(kind != CONFORM_LNK && chmod(name, mode) < 0))
		conform_die("making", name);
	conform_as(was);
}

void conform_wipe(const char *name)
{
	const enum conform_who was = conform.who;

	conform_as(CONFORM_ROOT);
	if (unlink(name) < 0 && (errno == EISDIR || errno == EPERM))
		if (rmdir(name) < 0)
			conform_die("removing", name);
	conform_as(was);
}

void conform_fill(const char *name, const char *text)
{
	const enum conform_who was = conform.who;
	const ssize_t n = (ssize_t)strlen(text);
	int fd;

	conform_as(CONFORM_ROOT);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, text, (size_t)n) != n || close(fd) < 0)
		conform_die("writing", name);
	conform_as(was);
}

bool conform_holds(const char *name, const char *text)
{
	const enum conform_who was = conform.who;
	char got[256];
	ssize_t n;
	int fd;

	conform_as(CONFORM_ROOT);
	fd = open(name, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, got, sizeof(got));
	if (fd >= 0)
		(void)close(fd);
	conform_as(was);
	return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

struct stat conform_stat(const char *name)
{
	const enum conform_who was = conform.who;
	struct stat st = {0};

	conform_as(CONFORM_ROOT);
	if (lstat(name, &st) < 0)
		conform_die("lstat", name);
	conform_as(was);
	return st;
}

bool conform_there(const char *name)
{
	const enum conform_who was = conform.who;
	struct stat st;
	bool there;

	conform_as(CONFORM_ROOT);
	there = lstat(name, &st) == 0;
	conform_as(was);
	return there;
}

mode_t conform_mode(const char *name)
{
	return conform_stat(name).st_mode & 07777;
}

/* The kernel's clock of files moves in ticks of up to 10 ms. */
void conform_tick(void)
{
	struct timespec a, b;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &a);
	for (int moved = 0; moved < 2;) {
		const struct timespec nap = {0, 1000000};

		(void)nanosleep(&nap, NULL);
		(void)clock_gettime(CLOCK_REALTIME_COARSE, &b);
		moved += a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
		a = b;
	}
}

const char *conform_bad(void)
{
	return conform.bad;
}

int conform_fork(int (*f)(const char *), const char *arg)
{
	int status = 0;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(f(arg));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* --- running ------------------------------------------------------------- */

static void conform_enter(const char *dir, const char *text)
{
	char name[80];

	(void)snprintf(name, sizeof(name), "%s", text);
	for (char *p = name; *p; p++)
		if (*p == ' ' || *p == '/')
			*p = '-';
	if (chdir(dir) < 0)
		conform_die("entering", dir);
	if (!conform.readonly && (mkdir(name, 0777) < 0 || chdir(name) < 0))
		conform_die("a directory for", name);
}

static void conform_run(const char *dir, const struct conform_group *g)
{
	conform.checked = conform.wrong = 0;
	conform_about("%s", g->text);
	if (setjmp(conform.next) == 0) {
		conform_enter(dir, g->text);
		g->run();
	}
	conform_as(CONFORM_ROOT);
	(void)umask(0);
	if (conform.wrong > CONFORM_TOLD)
		printf("# and %lu more\n", conform.wrong - CONFORM_TOLD);
	printf("%s %s: %lu of %lu\n", conform.wrong ? "WRONG" : "RIGHT",
		g->text, conform.checked - conform.wrong, conform.checked);
	conform.all += conform.checked;
	conform.all_wrong += conform.wrong;
}

static void conform_table(
	const char *dir, const struct conform_group *g, const char *word)
{
	for (; g->text; g++)
		if (!word || strstr(g->text, word))
			conform_run(dir, g);
}

int main(int argc, char **argv)
{
	static const struct conform_group *const tables[] = {conform_paths,
		conform_search, conform_modes, conform_owners, conform_sticky,
		conform_kill, conform_names, conform_rename, conform_times,
		conform_utimes, conform_open, conform_sizes,
		conform_readonly_make};
	struct statfs fs;
	char dir[4096];

	conform.readonly = argc == 3 && strcmp(argv[1], "-r") == 0;
	if (argc < 2 || !realpath(argv[1 + conform.readonly], dir) ||
		statfs(dir, &fs) < 0 || geteuid() != 0)
		return fprintf(stderr, "conform [-r] DIR [OTHER], as root\n"),
		       2;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)umask(0);
	conform.fuse = fs.f_type == FUSE_SUPER_MAGIC;
	conform.other = argc > 2 ? argv[2] : NULL;
	conform.bad =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (conform.readonly)
		conform_table(dir, conform_readonly, NULL);
	else
		for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
			conform_table(
				dir, tables[t], argc > 3 ? argv[3] : NULL);
	printf("# %lu assertions, %lu wrong\n", conform.all, conform.all_wrong);
	return conform.all_wrong > 0;
}
