/* Set-user-id, set-group-id and capabilities end when others change a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "conform.h"

static int kill_fd(int flags)
{
	const int fd = open("x", flags);

	if (fd < 0)
		perror("# x");
	return fd;
}

static long kill_end(int fd, long r)
{
	const int e = errno;

	(void)close(fd);
	errno = e;
	return r;
}

static long kill_write(void)
{
	const int fd = kill_fd(O_WRONLY);

	return kill_end(fd, write(fd, "new", 3));
}

static long kill_append(void)
{
	const int fd = kill_fd(O_WRONLY | O_APPEND);

	return kill_end(fd, write(fd, "more", 4));
}

static long kill_pwrite(void)
{
	const int fd = kill_fd(O_RDWR);

	return kill_end(fd, pwrite(fd, "new", 3, 100000));
}

static long kill_writev(void)
{
	char a[] = "a", b[] = "b";
	const struct iovec v[] = {{a, 1}, {b, 1}};
	const int fd = kill_fd(O_WRONLY);

	return kill_end(fd, writev(fd, v, 2));
}

static long kill_sync(void)
{
	const int fd = kill_fd(O_WRONLY | O_SYNC);

	return kill_end(fd, write(fd, "new", 3));
}

static long kill_trunc(void)
{
	return truncate("x", 7);
}

static long kill_grow(void)
{
	return truncate("x", 70000);
}

static long kill_ftruncate(void)
{
	const int fd = kill_fd(O_WRONLY);

	return kill_end(fd, ftruncate(fd, 5));
}

static long kill_open(void)
{
	const int fd = kill_fd(O_WRONLY | O_TRUNC);

	return kill_end(fd, fd);
}

static long kill_fallocate(void)
{
	const int fd = kill_fd(O_WRONLY);

	return kill_end(fd, fallocate(fd, 0, 0, 65536));
}

static long kill_punch(void)
{
	const int fd = kill_fd(O_WRONLY);

	return kill_end(
		fd, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			    4096));
}

static long kill_copy(void)
{
	const int from = open("from", O_RDONLY);
	const int fd = kill_fd(O_WRONLY);
	long r = copy_file_range(from, NULL, fd, NULL, 10, 0);

	(void)close(from);
	return kill_end(fd, r);
}

static const struct {
	const char *name;
	long (*run)(void);
} kill_calls[] = {{"write", kill_write}, {"append", kill_append},
	{"pwrite", kill_pwrite}, {"writev", kill_writev},
	{"write O_SYNC", kill_sync}, {"truncate", kill_trunc},
	{"truncate up", kill_grow}, {"ftruncate", kill_ftruncate},
	{"open O_TRUNC", kill_open}, {"fallocate", kill_fallocate},
	{"punch", kill_punch}, {"copy_file_range", kill_copy}};

#define KILL_CALLS (sizeof(kill_calls) / sizeof(*kill_calls))

static void kill_once(unsigned i, mode_t mode, enum conform_who who)
{
	const bool alien = who == CONFORM_OTHER;
	mode_t left = mode;

	/* FUSE's bit for it means "if the group may run it". */
	if (conform_fuse() && alien && (mode & 02010) == 02000)
		return;
	conform_fill("x", "some text that is here");
	GOOD(chown(
		"x", CONFORM_UID(CONFORM_OWNER), CONFORM_GID(CONFORM_OWNER)));
	GOOD(chmod("x", mode));
	ABOUT("%s by %s to a file of mode %04o", kill_calls[i].name,
		conform_name(who), mode);
	conform_as(who);
	GOOD(kill_calls[i].run());
	conform_as(CONFORM_ROOT);
	if (who != CONFORM_ROOT)
		left &= ~(mode_t)S_ISUID;
	if (who != CONFORM_ROOT && (mode & S_IXGRP || alien))
		left &= ~(mode_t)S_ISGID;
	SAME(conform_mode("x"), left);
	SAME(conform_stat("x").st_uid, CONFORM_UID(CONFORM_OWNER));
	GOOD(unlink("x"));
}

static void kill_bits(void)
{
	static const mode_t modes[] = {
		04777, 02777, 06777, 04666, 02666, 06666, 02767, 01777, 0777};

	conform_fill("from", "twenty bytes or more of it");
	for (unsigned i = 0; i < KILL_CALLS; i++)
		for (unsigned m = 0; m < sizeof(modes) / sizeof(*modes); m++)
			for (enum conform_who who = 0; who < CONFORM_WHOS;
				who++)
				kill_once(i, modes[m], who);
}

/* A second process's stat must not see what the first one's cached. */
static void kill_seen(void)
{
	struct stat st;
	int fd;

	conform_make(CONFORM_REG, "x", 06777, CONFORM_OWNER);
	ABOUT("an open file");
	conform_as(CONFORM_OTHER);
	fd = open("x", O_RDWR);
	GOOD(fd);
	GOOD(fstat(fd, &st));
	SAME(st.st_mode & 07777, 06777);
	SAME(write(fd, "", 0), 0);
	SAME(conform_mode("x"), 06777); /* nothing was written */
	SAME(pread(fd, &st, 1, 0), 0);
	SAME(conform_mode("x"), 06777);
	SAME(write(fd, "a", 1), 1);
	GOOD(fstat(fd, &st));
	SAME(st.st_mode & 07777, 0777);
	GOOD(stat("x", &st));
	SAME(st.st_mode & 07777, 0777);
	conform_as(CONFORM_ROOT);
	GOOD(chmod("x", 04777));
	conform_as(CONFORM_OTHER);
	SAME(write(fd, "b", 1), 1);
	SAME(conform_mode("x"), 0777);
	GOOD(close(fd));
	conform_as(CONFORM_ROOT);
	/* not of other kinds */
	conform_make(CONFORM_FIFO, "p", 06777, CONFORM_OWNER);
	conform_as(CONFORM_OTHER);
	fd = open("p", O_RDWR);
	SAME(write(fd, "a", 1), 1);
	GOOD(close(fd));
	SAME(conform_mode("p"), 06777);
}

/* --- capabilities -------------------------------------------------------- */

/* As capabilities(7) has it on disk: version 2, CAP_NET_RAW permitted. */
static const uint32_t kill_cap[5] = {0x02000001, 1u << 13, 0, 0, 0};

static int kill_has_cap(void)
{
	return getxattr("x", "security.capability", NULL, 0) ==
	       (ssize_t)sizeof(kill_cap);
}

static void kill_caps(void)
{
	conform_fill("from", "twenty bytes or more of it");
	for (unsigned i = 0; i < KILL_CALLS; i++)
		for (enum conform_who who = 0; who < CONFORM_WHOS; who++) {
			ABOUT("%s to a file with capabilities",
				kill_calls[i].name);
			conform_fill("x", "some text that is here");
			GOOD(chmod("x", 0777));
			GOOD(setxattr("x", "security.capability", kill_cap,
				sizeof(kill_cap), 0));
			TRUE(kill_has_cap());
			conform_as(who);
			GOOD(kill_calls[i].run());
			conform_as(CONFORM_ROOT);
			SAME(kill_has_cap(), 0);
			GOOD(unlink("x"));
		}
	ABOUT("chown, chmod, link and rename of a file with capabilities");
	conform_fill("x", "some text");
	GOOD(setxattr(
		"x", "security.capability", kill_cap, sizeof(kill_cap), 0));
	GOOD(chmod("x", 0700));
	GOOD(link("x", "y"));
	GOOD(rename("y", "z"));
	TRUE(kill_has_cap());
	GOOD(chown("x", 1, 1));
	SAME(kill_has_cap(), 0);
	conform_as(CONFORM_OWNER);
	CODE(setxattr(
		     "x", "security.capability", kill_cap, sizeof(kill_cap), 0),
		EPERM);
}

const struct conform_group conform_kill[] = {
	{"set-id bits end with changes of the content", kill_bits},
	{"set-id bits end for all who look", kill_seen},
	{"capabilities end with changes of the content", kill_caps},
	{NULL, NULL},
};
