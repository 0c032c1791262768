/* Times of new objects, and times that are set: which, and by whom. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "conform.h"

static bool utimes_equal(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* A new object's times are now, and all the same. */
static void utimes_of_new(void)
{
	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		const char *name = conform_kind(k);
		struct timespec before, after;
		struct stat st, dir;

		conform_tick();
		(void)clock_gettime(CLOCK_REALTIME_COARSE, &before);
		ABOUT("times of a new %s", name);
		if (k == CONFORM_DIR)
			GOOD(mkdir(name, 0755));
		else if (k == CONFORM_LNK)
			GOOD(symlink("x", name));
		else
			GOOD(mknod(name, conform_format(k) | 0644, 0x103));
		(void)clock_gettime(CLOCK_REALTIME, &after);
		st = conform_stat(name);
		dir = conform_stat(".");
		TRUE(utimes_equal(st.st_atim, st.st_mtim));
		TRUE(utimes_equal(st.st_atim, st.st_ctim));
		TRUE(utimes_equal(dir.st_mtim, dir.st_ctim));
		TRUE(st.st_mtim.tv_sec > before.tv_sec ||
			(st.st_mtim.tv_sec == before.tv_sec &&
				st.st_mtim.tv_nsec >= before.tv_nsec));
		TRUE(st.st_mtim.tv_sec < after.tv_sec ||
			(st.st_mtim.tv_sec == after.tv_sec &&
				st.st_mtim.tv_nsec <= after.tv_nsec));
	}
}

/* --- utimensat ----------------------------------------------------------- */

static void utimes_values(void)
{
	/* up to 2255: 64 bits of nanoseconds hold that, as ext4 does */
	static const int64_t secs[] = {0, 1, -1, 2, -2, 1000000000, 1700000000,
		-1000000000, INT32_MAX, INT32_MAX + 1ll, UINT32_MAX,
		UINT32_MAX + 1ll, 4102444800, 9000000000, -2147483647ll, 86399,
		-86401};
	static const long nsecs[] = {0, 1, 999999999, 500000000, 123456789};

	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		conform_make(k, "x", 0644, CONFORM_ROOT);
		for (unsigned i = 0; i < 17 * 5; i++) {
			const struct timespec t[2] = {
				{secs[i % 17], nsecs[i % 5]},
				{secs[(i + 3) % 17], nsecs[(i + 1) % 5]}};
			struct stat st;

			ABOUT("times of a %s, case %u", conform_kind(k), i);
			GOOD(utimensat(AT_FDCWD, "x", t, AT_SYMLINK_NOFOLLOW));
			st = conform_stat("x");
			SAME(st.st_atim.tv_sec, t[0].tv_sec);
			SAME(st.st_atim.tv_nsec, t[0].tv_nsec);
			SAME(st.st_mtim.tv_sec, t[1].tv_sec);
			SAME(st.st_mtim.tv_nsec, t[1].tv_nsec);
		}
		conform_wipe("x");
	}
}

static void utimes_bad_values(void)
{
	static const long bad[] = {-1, 1000000000, LONG_MAX, LONG_MIN,
		UTIME_NOW + 1, UTIME_OMIT - 1};

	conform_make(CONFORM_REG, "x", 0666, CONFORM_OWNER);
	for (unsigned i = 0; i < 6; i++) {
		struct timespec t[2] = {{1, bad[i]}, {1, 1}};

		ABOUT("%ld nanoseconds", bad[i]);
		CODE(utimensat(AT_FDCWD, "x", t, 0), EINVAL);
		t[1] = t[0];
		t[0].tv_nsec = 1;
		CODE(utimensat(AT_FDCWD, "x", t, 0), EINVAL);
		CODE(utimensat(AT_FDCWD, "x", t, 1 << 20), EINVAL);
	}
}

/* One of the four things that can be asked of a time. */
enum utimes_ask { UTIMES_SET, UTIMES_IS_NOW, UTIMES_KEEP, UTIMES_ASKS };

static struct timespec utimes_word(enum utimes_ask a, time_t set)
{
	const struct timespec t = {set, a == UTIMES_SET	   ? 7
					: a == UTIMES_KEEP ? UTIME_OMIT
							   : UTIME_NOW};

	return t;
}

static void utimes_became(
	enum utimes_ask a, struct timespec was, struct timespec is, time_t set)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (a == UTIMES_KEEP)
		TRUE(utimes_equal(is, was));
	else if (a == UTIMES_SET)
		SAME(is.tv_sec, set);
	else
		TRUE(is.tv_sec <= now.tv_sec && is.tv_sec >= now.tv_sec - 60);
}

/*
 * Both now: also for who may write. Nothing at all: for everybody. The rest
 * is the owner's and root's.
 */
static int utimes_code(
	enum utimes_ask a, enum utimes_ask m, mode_t mode, enum conform_who who)
{
	const int at[CONFORM_WHOS] = {6, 6, 3, 0};

	if (who <= CONFORM_OWNER || (a == UTIMES_KEEP && m == UTIMES_KEEP))
		return 0;
	if (a != UTIMES_IS_NOW || m != UTIMES_IS_NOW)
		return EPERM;
	return mode >> at[who] & 2 ? 0 : EACCES;
}

static void utimes_permit(enum conform_kind k, mode_t mode)
{
	for (unsigned i = 0; i < UTIMES_ASKS * UTIMES_ASKS * CONFORM_WHOS;
		i++) {
		const enum utimes_ask a = i % UTIMES_ASKS;
		const enum utimes_ask m = i / UTIMES_ASKS % UTIMES_ASKS;
		const enum conform_who who = i / UTIMES_ASKS / UTIMES_ASKS;
		const struct timespec t[2] = {
			utimes_word(a, 1000), utimes_word(m, 2000)};
		const int code = utimes_code(a, m, mode, who);
		const struct timespec old[2] = {{55, 5}, {66, 6}};
		struct stat was, is;

		ABOUT("a %s of mode %03o, ask %d %d", conform_kind(k), mode, a,
			m);
		GOOD(utimensat(AT_FDCWD, "x", old, 0));
		was = conform_stat("x");
		conform_as(who);
		CODE(utimensat(AT_FDCWD, "x", t, 0), code);
		is = conform_stat("x");
		conform_as(CONFORM_ROOT);
		if (code == 0) {
			utimes_became(a, was.st_atim, is.st_atim, 1000);
			utimes_became(m, was.st_mtim, is.st_mtim, 2000);
		} else {
			TRUE(utimes_equal(is.st_atim, was.st_atim));
			TRUE(utimes_equal(is.st_mtim, was.st_mtim));
			TRUE(utimes_equal(is.st_ctim, was.st_ctim));
		}
	}
}

static void utimes_permissions(void)
{
	static const mode_t modes[] = {0, 0777, 0400, 0200, 0040, 0020, 0004,
		0002, 0644, 0664, 0666, 0444};

	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		if (k == CONFORM_LNK)
			continue;
		for (unsigned i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
			conform_make(k, "x", modes[i], CONFORM_OWNER);
			utimes_permit(k, modes[i]);
			conform_wipe("x");
		}
	}
}

static void utimes_change_time(void)
{
	static const struct {
		struct timespec t[2];
		bool changes;
	} cases[] = {{{{1, 1}, {2, 2}}, true},
		{{{1, 1}, {0, UTIME_OMIT}}, true},
		{{{0, UTIME_OMIT}, {2, 2}}, true},
		{{{0, UTIME_NOW}, {0, UTIME_NOW}}, true},
		{{{0, UTIME_OMIT}, {0, UTIME_OMIT}}, false}};

	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		conform_make(k, "x", 0644, CONFORM_ROOT);
		for (unsigned i = 0; i < 5; i++) {
			const struct stat was = conform_stat("x");

			conform_tick();
			ABOUT("the ctime of a %s after utimensat, case %u",
				conform_kind(k), i);
			GOOD(utimensat(AT_FDCWD, "x", cases[i].t,
				AT_SYMLINK_NOFOLLOW));
			SAME(!utimes_equal(
				     conform_stat("x").st_ctim, was.st_ctim),
				cases[i].changes);
		}
		conform_wipe("x");
	}
	ABOUT("utimensat of links and descriptors");
	conform_make(CONFORM_REG, "target", 0666, CONFORM_ROOT);
	conform_make(CONFORM_LNK, "x", 0, CONFORM_ROOT);
	GOOD(utimensat(AT_FDCWD, "x", cases[0].t, 0));
	SAME(conform_stat("target").st_mtim.tv_sec, 2);
	TRUE(conform_stat("x").st_mtim.tv_sec > 2);
}

/* What was set stays over writes, renames, links, and being opened. */
static void utimes_stay(void)
{
	const struct timespec t[2] = {{1000, 1}, {2000, 2}};
	struct stat st;
	int fd;

	ABOUT("times that were set");
	fd = open("x", O_RDWR | O_CREAT, 0644);
	SAME(write(fd, "text", 4), 4);
	GOOD(futimens(fd, t));
	GOOD(close(fd));
	SAME(conform_stat("x").st_mtim.tv_sec, 2000);
	GOOD(rename("x", "y"));
	GOOD(link("y", "z"));
	GOOD(chmod("y", 0600));
	SAME(conform_stat("z").st_mtim.tv_sec, 2000);
	fd = open("y", O_RDWR);
	SAME(write(fd, "more", 4), 4);
	GOOD(futimens(fd, t));
	GOOD(fsync(fd));
	GOOD(fstat(fd, &st));
	SAME(st.st_mtim.tv_sec, 2000);
	SAME(st.st_mtim.tv_nsec, 2);
	GOOD(close(fd));
	SAME(conform_stat("y").st_mtim.tv_sec, 2000);
	SAME(conform_stat("y").st_size, 4);
}

const struct conform_group conform_utimes[] = {
	{"times of new objects", utimes_of_new},
	{"utimensat and every value", utimes_values},
	{"utimensat and values that are none", utimes_bad_values},
	{"utimensat by everyone", utimes_permissions},
	{"utimensat and ctime", utimes_change_time},
	{"utimensat is not overtaken", utimes_stay},
	{NULL, NULL},
};
