/* How a path is followed, and where it ends: the same for every call. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conform_calls.h"

#define PATHS_MAX 4096u /* PATH_MAX, the last NUL included */
#define PATHS_LINKS 40u /* symbolic links on one way */

/* Every call, as root and as an ordinary user, fails with code at path. */
static void paths_all(const char *path, int code)
{
	for (enum conform_who who = CONFORM_ROOT; who <= CONFORM_OWNER; who++) {
		conform_as(who);
		for (const struct conform_call *c = conform_calls; c->name;
			c++) {
			ABOUT("%s \"%.40s\"", c->name,
				path == conform_bad() ? "(bad)" : path);
			CODE(c->run(path), code);
		}
	}
	conform_as(CONFORM_ROOT);
}

static void paths_not_dir(void)
{
	static const enum conform_kind kinds[] = {CONFORM_REG, CONFORM_FIFO,
		CONFORM_SOCK, CONFORM_CHR, CONFORM_BLK};

	conform_calls_src();
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		char path[64];

		conform_make(
			kinds[i], conform_kind(kinds[i]), 0777, CONFORM_OWNER);
		(void)snprintf(
			path, sizeof(path), "%s/x", conform_kind(kinds[i]));
		paths_all(path, ENOTDIR);
		(void)snprintf(path, sizeof(path), "%s/../src",
			conform_kind(kinds[i]));
		paths_all(path, ENOTDIR);
	}
	TRUE(symlink("file", "link") == 0);
	paths_all("link/x", ENOTDIR);
}

static void paths_missing(void)
{
	conform_calls_src();
	paths_all("none/x", ENOENT);
	paths_all("none/../src", ENOENT);
	TRUE(symlink("nowhere", "dangling") == 0);
	paths_all("dangling/x", ENOENT);
	paths_all("", ENOENT);
	for (const struct conform_call *c = conform_calls; c->name; c++) {
		if (c->flags & CALL_MAKES)
			continue;
		ABOUT("%s of nothing", c->name);
		CODE(c->run("nothing"), ENOENT);
		if (c->flags & CALL_FOLLOWS)
			CODE(c->run("dangling"), ENOENT);
	}
}

static void paths_loops(void)
{
	char name[32], to[32];

	conform_calls_src();
	TRUE(symlink("loop", "loop") == 0 && symlink("b", "a") == 0 &&
		symlink("a", "b") == 0);
	paths_all("loop/x", ELOOP);
	paths_all("a/x", ELOOP);
	for (const struct conform_call *c = conform_calls; c->name; c++) {
		ABOUT("%s of a loop", c->name);
		if (c->flags & CALL_FOLLOWS && c->kind == CONFORM_REG) {
			/* with O_PATH, too */
			CODE(c->run("loop"), ELOOP);
		}
	}
	CODE(open("a", O_RDONLY | O_NOFOLLOW), ELOOP);
	/* link1 leads to src, link2 to link1, ... */
	(void)snprintf(to, sizeof(to), "src");
	for (unsigned i = 1; i <= PATHS_LINKS + 1; i++) {
		(void)snprintf(name, sizeof(name), "link%u", i);
		TRUE(symlink(to, name) == 0);
		memcpy(to, name, sizeof(to));
	}
	(void)snprintf(name, sizeof(name), "link%u", PATHS_LINKS);
	GOOD(access(name, R_OK));
	CODE(access(to, R_OK), ELOOP);
	GOOD(unlink(to));
}

static void paths_bad_address(void)
{
#ifndef __SANITIZE_ADDRESS__ /* which reads the bytes before the kernel does */
	conform_calls_src();
	paths_all(conform_bad(), EFAULT);
	CODE(symlink(conform_bad(), "x"), EFAULT);
	CODE(link("src", conform_bad()), EFAULT);
	CODE(rename("src", conform_bad()), EFAULT);
	CODE(stat("src", (struct stat *)(size_t)conform_bad()), EFAULT);
#endif
}

/* What a call makes is taken away again, and what it takes is put back. */
static void paths_works(const struct conform_call *c, const char *path)
{
	if (!(c->flags & CALL_MAKES))
		conform_make(c->kind, path, 0777, CONFORM_ROOT);
	GOOD(c->run(path));
	SAME(conform_there(path), !(c->flags & CALL_TAKES));
	if (!(c->flags & CALL_TAKES))
		conform_wipe(path);
	conform_calls_src();
}

static void paths_long_names(void)
{
	char name[300], path[700];

	conform_calls_src();
	conform_make(CONFORM_DIR, "dir", 0777, CONFORM_ROOT);
	memset(name, 'n', sizeof(name));
	name[255] = 0;
	for (const struct conform_call *c = conform_calls; c->name; c++) {
		ABOUT("%s of a name of 255", c->name);
		paths_works(c, name);
	}
	name[255] = 'n';
	name[256] = 0;
	paths_all(name, ENAMETOOLONG);
	(void)snprintf(path, sizeof(path), "%s/x", name);
	paths_all(path, ENAMETOOLONG);
	(void)snprintf(path, sizeof(path), "dir/%s", name);
	paths_all(path, ENAMETOOLONG);
	(void)snprintf(path, sizeof(path), "dir/../%s/x", name);
	paths_all(path, ENAMETOOLONG);
}

/* "././././x", of this many bytes without the NUL. */
static void paths_fill(char *path, size_t n)
{
	for (size_t i = 0; i < n; i++)
		path[i] = i % 2 ? '/' : '.';
	path[n] = 0;
	path[n - 1] = 'x';
	if (path[n - 2] == '.')
		path[n - 2] = '/';
}

static void paths_long_paths(void)
{
	char path[PATHS_MAX + 200];
	char target[PATHS_MAX];

	conform_calls_src();
	paths_fill(path, PATHS_MAX - 1);
	for (const struct conform_call *c = conform_calls; c->name; c++) {
		ABOUT("%s of a path of 4095", c->name);
		paths_works(c, path);
	}
	paths_fill(path, PATHS_MAX);
	paths_all(path, ENAMETOOLONG);
	paths_fill(path, PATHS_MAX + 100);
	paths_all(path, ENAMETOOLONG);
	memset(target, 't', sizeof(target));
	for (size_t i = 200; i < sizeof(target); i += 200)
		target[i] = '/';
	target[PATHS_MAX - 1] = 0;
	ABOUT("symbolic links of every length");
	for (size_t n = 1; n < PATHS_MAX; n += n < 70 ? 1 : 61) {
		char got[PATHS_MAX];

		GOOD(symlink(target + (PATHS_MAX - 1 - n), "long"));
		SAME(readlink("long", got, sizeof(got)), n);
		TRUE(memcmp(got, target + (PATHS_MAX - 1 - n), n) == 0);
		SAME(conform_stat("long").st_size, n);
		GOOD(unlink("long"));
	}
	CODE(symlink(path, "long"), ENAMETOOLONG);
	CODE(symlink("", "long"), ENOENT);
}

/* A slash at the end asks for a directory, and follows a link to it. */
static void paths_slashes(void)
{
	conform_make(CONFORM_REG, "file", 0777, CONFORM_OWNER);
	conform_make(CONFORM_DIR, "dir", 0777, CONFORM_OWNER);
	conform_make(CONFORM_DIR, "dir2", 0777, CONFORM_OWNER);
	conform_calls_src();
	TRUE(symlink("dir", "todir") == 0 && symlink("file", "tofile") == 0);
	for (const struct conform_call *c = conform_calls; c->name; c++) {
		ABOUT("%s file/", c->name);
		if (c->flags & CALL_MAKES)
			continue;
		CODE(c->run("file/"), ENOTDIR);
		CODE(c->run("file/."), ENOTDIR);
		CODE(c->run("tofile/"), ENOTDIR);
		ABOUT("%s none/", c->name);
		CODE(c->run("none/"), ENOENT);
	}
	ABOUT("slashes");
	GOOD(mkdir("new/", 0755));
	GOOD(mkdir("new2///", 0755));
	GOOD(rename("new/", "new3/"));
	CODE(rename("file/", "new"), ENOTDIR);
	CODE(rename("file", "new/"), ENOTDIR);
	CODE(rename("file", "dir2/"), ENOTDIR);
	CODE(mkdir("file/", 0755), EEXIST);
	CODE(mkdir("todir/", 0755), EEXIST);
	CODE(mkdir("tofile", 0755), EEXIST);
	CODE(open("new/", O_CREAT | O_WRONLY, 0644), EISDIR);
	CODE(link("file", "new/"), ENOENT);
	CODE(symlink("x", "new/"), ENOENT);
	CODE(mkfifo("new/", 0644), ENOENT);
	CODE(rmdir("todir/"), ENOTDIR);
	CODE(unlink("dir/"), EISDIR);
	GOOD(rmdir("new3/"));
	GOOD(rmdir("new2//"));
	GOOD(chmod("todir/", 0700));
	SAME(conform_mode("dir"), 0700);
	CODE(unlink("todir/"), ENOTDIR);
	GOOD(lchown("todir/", 1, 2));
	SAME(conform_stat("dir").st_uid, 1);
	SAME(conform_stat("todir").st_uid, 0);
}

static void paths_names_are_bytes(void)
{
	static const char *const odd[] = {"...", "....", " ", "\t", "\n", "\\",
		"*", "?", "~", "-", "a b", "..x", ".x", "x.", "x..", "\x01",
		"\x7f", "\x80", "\xff", "\xc3\xa9", "e\xcc\x81", "\xed\xa0\x80",
		"A", "a", "con", "nul:", "\"", "'", "$x", "%s", ";", "|", "<>",
		NULL};

	for (unsigned i = 0; odd[i]; i++) {
		ABOUT("name \"%s\"", odd[i]);
		CODE(access(odd[i], F_OK), ENOENT);
		conform_fill(odd[i], odd[i]);
		TRUE(conform_holds(odd[i], odd[i]));
	}
	for (unsigned i = 0; odd[i]; i++) {
		ABOUT("name \"%s\"", odd[i]);
		TRUE(conform_holds(odd[i], odd[i]));
		GOOD(unlink(odd[i]));
		CODE(access(odd[i], F_OK), ENOENT);
	}
	for (unsigned c = 1; c < 256; c++) {
		const char name[] = {'b', (char)c, 0};

		ABOUT("byte %u", c);
		if (c == '/')
			continue;
		CODE(access(name, F_OK), ENOENT);
		GOOD(mkdir(name, 0755));
		GOOD(access(name, F_OK));
		GOOD(rmdir(name));
	}
	CODE(access(".../x", F_OK), ENOENT);
}

const struct conform_group conform_paths[] = {
	{"paths through what is no directory", paths_not_dir},
	{"paths through what is not there", paths_missing},
	{"paths through loops", paths_loops},
	{"paths from bad addresses", paths_bad_address},
	{"paths with long names", paths_long_names},
	{"paths that are long", paths_long_paths},
	{"paths that end in a slash", paths_slashes},
	{"paths of any bytes", paths_names_are_bytes},
	{NULL, NULL},
};
