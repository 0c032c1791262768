/* Names made and removed: what is in the way, and what remains. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "conform_calls.h"

/* What is there already is not made again, and stays what it was. */
static void names_in_the_way(void)
{
	conform_calls_src();
	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		const struct stat *was;
		struct stat st;

		conform_make(k, "x", 0754, CONFORM_OTHER);
		st = conform_stat("x");
		was = &st;
		for (const struct conform_call *c = conform_calls; c->name;
			c++) {
			if (!(c->flags & CALL_MAKES))
				continue;
			for (unsigned who = 0; who < CONFORM_WHOS; who++) {
				ABOUT("%s where a %s is", c->name,
					conform_kind(k));
				conform_as(who);
				CODE(c->run("x"), EEXIST);
			}
			conform_as(CONFORM_ROOT);
			SAME(conform_stat("x").st_ino, was->st_ino);
			SAME(conform_stat("x").st_mode, was->st_mode);
			SAME(conform_stat("x").st_nlink, was->st_nlink);
		}
		conform_wipe("x");
	}
}

/* unlink and rmdir of every kind. */
static void names_removed(void)
{
	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		const bool dir = k == CONFORM_DIR;

		conform_make(k, "x", 0, CONFORM_ROOT);
		for (unsigned who = 0; who < CONFORM_WHOS; who++) {
			ABOUT("removing a %s", conform_kind(k));
			conform_as(who);
			CODE(dir ? unlink("x") : rmdir("x"),
				dir ? EISDIR : ENOTDIR);
			GOOD(dir ? rmdir("x") : unlink("x"));
			CODE(dir ? rmdir("x") : unlink("x"), ENOENT);
			conform_make(k, "x", 0, CONFORM_ROOT);
		}
		conform_wipe("x");
	}
}

static void names_not_empty(void)
{
	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		ABOUT("a directory with a %s in it", conform_kind(k));
		GOOD(mkdir("d", 0777));
		conform_make(k, "d/x", 0777, CONFORM_ROOT);
		CODE(rmdir("d"), ENOTEMPTY);
		GOOD(mkdir("e", 0777));
		CODE(rename("e", "d"), ENOTEMPTY);
		conform_wipe("d/x");
		GOOD(rename("e", "d"));
		GOOD(rmdir("d"));
	}
	GOOD(mkdir("d", 0777));
	GOOD(mkdir("d/e", 0777));
	CODE(rmdir("d/."), EINVAL);
	CODE(rmdir("d/e/.."), ENOTEMPTY);
	CODE(rmdir("d/e/."), EINVAL);
	CODE(unlink("d/."), EISDIR);
	CODE(unlink("d/.."), EISDIR);
	CODE(mkdir("d/.", 0777), EEXIST);
	CODE(mkdir("d/..", 0777), EEXIST);
	CODE(rename("d/.", "f"), EBUSY);
	CODE(rename("d/..", "f"), EBUSY);
	CODE(rename("d", "d/e/."), EBUSY);
	CODE(link("d", "f"), EPERM);
	CODE(rmdir("/"), EBUSY);
}

static void names_link_kind(enum conform_kind k)
{
	struct stat a, b;

	ABOUT("links of a %s", conform_kind(k));
	conform_make(k, "a", 0666, CONFORM_OWNER);
	if (k == CONFORM_DIR) {
		CODE(link("a", "b"), EPERM);
		conform_as(CONFORM_OWNER);
		CODE(link("a", "b"), EPERM);
		conform_as(CONFORM_ROOT);
		conform_wipe("a");
		return;
	}
	for (unsigned n = 2; n < 30; n++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%u", n);
		conform_as(CONFORM_OWNER);
		GOOD(link(n % 3 || n < 4 ? "a" : "n2", name));
		conform_as(CONFORM_ROOT);
		a = conform_stat("a");
		b = conform_stat(name);
		SAME(a.st_nlink, n);
		SAME(b.st_nlink, n);
		SAME(a.st_ino, b.st_ino);
		SAME(a.st_mode, b.st_mode);
		SAME(a.st_rdev, b.st_rdev);
		SAME(a.st_ctim.tv_nsec, b.st_ctim.tv_nsec);
	}
	if (k != CONFORM_LNK) {
		GOOD(chmod("n7", 0640));
		SAME(conform_mode("a"), 0640);
	}
	GOOD(lchown("n9", 9, 9));
	SAME(conform_stat("n2").st_uid, 9);
	GOOD(unlink("a"));
	for (unsigned n = 2; n < 30; n++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%u", n);
		SAME(conform_stat(name).st_nlink, 30 - n);
		GOOD(unlink(name));
	}
}

static void names_links(void)
{
	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++)
		names_link_kind(k);
	ABOUT("links to symbolic links");
	conform_make(CONFORM_REG, "target", 0666, CONFORM_OWNER);
	conform_make(CONFORM_LNK, "s", 0, CONFORM_OWNER);
	GOOD(link("s", "l"));
	SAME(conform_stat("l").st_mode & S_IFMT, S_IFLNK);
	GOOD(linkat(AT_FDCWD, "s", AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	SAME(conform_stat("f").st_mode & S_IFMT, S_IFREG);
	SAME(conform_stat("target").st_nlink, 2);
}

static void names_directory_links(void)
{
	struct stat st;

	ABOUT("the links of directories");
	GOOD(mkdir("d", 0777));
	SAME(conform_stat("d").st_nlink, 2);
	for (unsigned n = 1; n < 20; n++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "d/%u", n);
		GOOD(mkdir(name, 0777));
		SAME(conform_stat("d").st_nlink, 2 + n);
		conform_make(CONFORM_REG, "d/f", 0666, CONFORM_ROOT);
		SAME(conform_stat("d").st_nlink, 2 + n);
		conform_wipe("d/f");
	}
	GOOD(rename("d/1", "e"));
	SAME(conform_stat("d").st_nlink, 20);
	GOOD(rename("d/2", "d/3"));
	SAME(conform_stat("d").st_nlink, 19);
	GOOD(rename("e", "d/4"));
	SAME(conform_stat("d").st_nlink, 19);
	GOOD(rmdir("d/4"));
	SAME(conform_stat("d").st_nlink, 18);
	GOOD(stat("d/.", &st));
	SAME(st.st_ino, conform_stat("d").st_ino);
	GOOD(stat("d/5/..", &st));
	SAME(st.st_ino, conform_stat("d").st_ino);
	GOOD(stat("d/5/../..", &st));
	SAME(st.st_ino, conform_stat(".").st_ino);
}

static void names_removed_open(void)
{
	struct stat st;
	char got[8] = "";
	int fd, dir;

	ABOUT("a removed file that is open");
	conform_fill("f", "text");
	fd = open("f", O_RDWR);
	GOOD(unlink("f"));
	GOOD(fstat(fd, &st));
	SAME(st.st_nlink, 0);
	SAME(pread(fd, got, 8, 0), 4);
	SAME(pwrite(fd, "more", 4, 4), 4);
	SAME(pread(fd, got, 8, 0), 8);
	GOOD(ftruncate(fd, 2));
	GOOD(fchmod(fd, 0600));
	GOOD(fchown(fd, 5, 5));
	GOOD(fsync(fd));
	GOOD(fstat(fd, &st));
	SAME(st.st_size, 2);
	SAME(st.st_uid, 5);
	conform_fill("f", "another");
	SAME(pread(fd, got, 8, 0), 2);
	GOOD(close(fd));
	TRUE(conform_holds("f", "another"));
	ABOUT("a removed directory that is open, and the cwd");
	GOOD(mkdir("d", 0777));
	GOOD(chdir("d"));
	dir = open(".", O_RDONLY | O_DIRECTORY);
	GOOD(rmdir("../d"));
	GOOD(fstat(dir, &st));
	SAME(st.st_nlink, 0);
	CODE(open("new", O_CREAT | O_WRONLY, 0666), ENOENT);
	CODE(mkdir("new", 0777), ENOENT);
	CODE(symlink("x", "new"), ENOENT);
	CODE(link("../f", "new"), ENOENT);
	CODE(rename("../f", "new"), ENOENT);
	CODE(mkfifo("new", 0666), ENOENT);
	CODE(access("x", F_OK), ENOENT);
	GOOD(access(".", F_OK));
	GOOD(fchdir(dir));
	GOOD(fchmod(dir, 0700));
	GOOD(fsync(dir));
	GOOD(close(dir));
}

static void names_sockets(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "s"};
	const int one = socket(AF_UNIX, SOCK_STREAM, 0);
	const int two = socket(AF_UNIX, SOCK_STREAM, 0);
	int got;

	ABOUT("sockets");
	GOOD(bind(one, (struct sockaddr *)&a, sizeof(a)));
	CODE(bind(two, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	CODE(connect(two, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	GOOD(listen(one, 1));
	GOOD(connect(two, (struct sockaddr *)&a, sizeof(a)));
	got = accept(one, NULL, NULL);
	SAME(write(two, "hi", 2), 2);
	SAME(read(got, &a, 2), 2);
	CODE(open("s", O_RDONLY), ENXIO);
	CODE(open("s", O_WRONLY), ENXIO);
	(void)close(got);
	(void)close(one);
	(void)close(two);
}

/* Nothing goes from one filesystem to another. */
static void names_across(void)
{
	char there[4200];

	if (!conform_other())
		return;
	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		ABOUT("across filesystems with a %s", conform_kind(k));
		conform_make(k, "x", 0777, CONFORM_ROOT);
		(void)snprintf(
			there, sizeof(there), "%s/across", conform_other());
		CODE(rename("x", there), EXDEV);
		CODE(link("x", there), EXDEV);
		conform_make(k, there, 0777, CONFORM_ROOT);
		CODE(rename(there, "y"), EXDEV);
		CODE(rename("x", there), EXDEV);
		CODE(link(there, "y"), EXDEV);
		CODE(link("x", there), EEXIST);
		conform_wipe(there);
		conform_wipe("x");
	}
}

/* A mount point cannot go; the mount is in a namespace of its own. */
static int names_busy_inside(const char *dir)
{
	if (unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", dir, "tmpfs", 0, NULL) < 0)
		return 1;
	if (rmdir(dir) == 0 || errno != EBUSY)
		return 2;
	if (rename(dir, "elsewhere") == 0 || errno != EBUSY)
		return 3;
	if (rename("other", dir) == 0 || errno != EBUSY)
		return 4;
	return 0;
}

static void names_busy(void)
{
	GOOD(mkdir("m", 0777));
	GOOD(mkdir("other", 0777));
	ABOUT("a mount point");
	SAME(conform_fork(names_busy_inside, "m"), 0);
}

/* Many links of one file, up to where it says EMLINK. */
static void names_limit(void)
{
	unsigned n = 1;

	conform_make(CONFORM_REG, "x", 0666, CONFORM_ROOT);
	ABOUT("ten thousand links");
	for (; n < 10000; n++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%u", n);
		if (!GOOD(link("x", name)))
			return;
	}
	SAME(conform_stat("x").st_nlink, n);
	for (n = 1; n < 10000; n++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%u", n);
		(void)unlink(name);
	}
	SAME(conform_stat("x").st_nlink, 1);
}

const struct conform_group conform_names[] = {
	{"names that are in the way", names_in_the_way},
	{"names removed", names_removed},
	{"names in directories and their dots", names_not_empty},
	{"links of every kind", names_links},
	{"links of directories", names_directory_links},
	{"names of open objects removed", names_removed_open},
	{"names of sockets", names_sockets},
	{"names across filesystems", names_across},
	{"names with a mount on them", names_busy},
	{"links in great number", names_limit},
	{NULL, NULL},
};
