/* A read-only filesystem: what conform_readonly_make left is all there is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "conform_calls.h"

static void readonly_make(void)
{
	conform_calls_src();
	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++)
		conform_make(k, conform_kind(k), 0777, CONFORM_OWNER);
	conform_fill("full", "text");
	GOOD(setxattr("full", "user.conform", "v", 1, 0));
}

/* What changes neither names nor the object. */
static bool readonly_reads(const char *name)
{
	static const char *const names[] = {"open", "open O_PATH",
		"open O_NOFOLLOW", "stat", "lstat", "access", "readlink",
		"statvfs", "listxattr", "chdir", "opendir", NULL};

	for (unsigned i = 0; names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void readonly_calls(void)
{
	GOOD(chdir("read-only-contents"));
	for (unsigned who = 0; who < CONFORM_WHOS; who++) {
		conform_as(who);
		for (const struct conform_call *c = conform_calls; c->name;
			c++) {
			ABOUT("%s on a read-only filesystem", c->name);
			if (c->flags & CALL_MAKES) {
				CODE(c->run("new"), EROFS);
				/* of rename that is asked first */
				CODE(c->run("full"),
					strcmp(c->name, "rename to") ? EEXIST
								     : EROFS);
			} else {
				CODE(c->run(conform_kind(c->kind)),
					readonly_reads(c->name) ? 0 : EROFS);
				CODE(c->run("none"),
					c->flags & CALL_TAKES ? EROFS : ENOENT);
			}
		}
		CODE(rename("full", "file"), EROFS);
		CODE(access("fifo", W_OK), 0);
		GOOD(open("fifo", O_RDWR | O_NONBLOCK) < 0 ? -1 : close(3));
	}
}

static void readonly_content(void)
{
	struct statvfs fs;
	char got[8];
	int fd;

	GOOD(chdir("read-only-contents"));
	ABOUT("what is read");
	GOOD(statvfs(".", &fs));
	TRUE(fs.f_flag & ST_RDONLY);
	TRUE(conform_holds("full", "text"));
	fd = open("full", O_RDONLY);
	CODE(fchmod(fd, 0600), EROFS);
	CODE(fchown(fd, 1, 1), EROFS);
	CODE(futimens(fd, NULL), EROFS);
	CODE(fsetxattr(fd, "user.x", "v", 1, 0), EROFS);
	CODE(fremovexattr(fd, "user.conform"), EROFS);
	SAME(fgetxattr(fd, "user.conform", got, sizeof(got)), 1);
	GOOD(close(fd));
	CODE(open("new", O_CREAT | O_RDWR, 0644), EROFS);
	fd = open("full", O_CREAT | O_RDONLY, 0644);
	GOOD(fd);
	GOOD(close(fd));
	CODE(open("full", O_CREAT | O_RDWR, 0644), EROFS);
	CODE(open("full", O_TRUNC), EROFS);
	CODE(open(".", O_TMPFILE | O_RDWR, 0644), EROFS);
}

const struct conform_group conform_readonly_make[] = {
	{"read-only contents", readonly_make},
	{NULL, NULL},
};

const struct conform_group conform_readonly[] = {
	{"read-only and every call", readonly_calls},
	{"read-only content", readonly_content},
	{NULL, NULL},
};
