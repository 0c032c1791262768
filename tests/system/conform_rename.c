/* rename: every kind onto every kind, and what the flags change. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "conform.h"

/* 0, or why a thing of kind "from" cannot take the name of one of kind "to". */
static int rename_code(enum conform_kind from, enum conform_kind to)
{
	if (from == CONFORM_DIR && to != CONFORM_DIR)
		return ENOTDIR;
	return from != CONFORM_DIR && to == CONFORM_DIR ? EISDIR : 0;
}

static void rename_pair(
	enum conform_kind from, enum conform_kind to, enum conform_who who)
{
	const int code = rename_code(from, to);
	struct stat a, b;

	ABOUT("a %s onto a %s", conform_kind(from), conform_kind(to));
	conform_make(from, "d/a", 0751, CONFORM_OWNER);
	conform_make(to, "e/b", 0640, CONFORM_OTHER);
	a = conform_stat("d/a");
	b = conform_stat("e/b");
	conform_as(who);
	CODE(renameat2(AT_FDCWD, "d/a", AT_FDCWD, "e/b", RENAME_NOREPLACE),
		EEXIST);
	CODE(rename("d/a", "e/b"),
		from == CONFORM_DIR && who == CONFORM_OTHER ? EACCES : code);
	conform_as(CONFORM_ROOT);
	if (conform_there("d/a")) {
		TRUE(code != 0 || who == CONFORM_OTHER);
		SAME(conform_stat("d/a").st_ino, a.st_ino);
		SAME(conform_stat("e/b").st_ino, b.st_ino);
		conform_wipe("d/a");
	} else {
		SAME(conform_stat("e/b").st_ino, a.st_ino);
		SAME(conform_stat("e/b").st_mode, a.st_mode);
		SAME(conform_stat("e/b").st_uid, a.st_uid);
		SAME(conform_stat("e/b").st_nlink, a.st_nlink);
	}
	conform_wipe("e/b");
}

static void rename_kinds(void)
{
	const unsigned n = CONFORM_KINDS;

	GOOD(mkdir("d", 0777));
	GOOD(mkdir("e", 0777));
	for (unsigned i = 0; i < n * n * CONFORM_WHOS; i++) {
		const enum conform_kind from = i / CONFORM_WHOS / n;
		const enum conform_who who = i % CONFORM_WHOS;

		/* a directory that is not theirs they cannot move */
		if (from != CONFORM_DIR || who <= CONFORM_OWNER)
			rename_pair(from, i / CONFORM_WHOS % n, who);
	}
}

static void rename_exchange(void)
{
	GOOD(mkdir("d", 0777));
	GOOD(mkdir("e", 0777));
	for (enum conform_kind from = 0; from < CONFORM_KINDS; from++)
		for (enum conform_kind to = 0; to < CONFORM_KINDS; to++) {
			struct stat a, b;

			ABOUT("a %s and a %s", conform_kind(from),
				conform_kind(to));
			conform_make(from, "d/a", 0751, CONFORM_OWNER);
			conform_make(to, "e/b", 0640, CONFORM_OTHER);
			a = conform_stat("d/a");
			b = conform_stat("e/b");
			GOOD(renameat2(AT_FDCWD, "d/a", AT_FDCWD, "e/b",
				RENAME_EXCHANGE));
			SAME(conform_stat("e/b").st_ino, a.st_ino);
			SAME(conform_stat("d/a").st_ino, b.st_ino);
			SAME(conform_stat("d").st_nlink,
				2 + (to == CONFORM_DIR));
			SAME(conform_stat("e").st_nlink,
				2 + (from == CONFORM_DIR));
			conform_wipe("d/a");
			conform_wipe("e/b");
		}
	conform_make(CONFORM_REG, "a", 0666, CONFORM_ROOT);
	CODE(renameat2(AT_FDCWD, "a", AT_FDCWD, "none", RENAME_EXCHANGE),
		ENOENT);
	CODE(renameat2(AT_FDCWD, "none", AT_FDCWD, "a", RENAME_EXCHANGE),
		ENOENT);
	CODE(renameat2(AT_FDCWD, "a", AT_FDCWD, "d",
		     RENAME_EXCHANGE | RENAME_NOREPLACE),
		EINVAL);
	CODE(renameat2(AT_FDCWD, "a", AT_FDCWD, "d", 1u << 20), EINVAL);
	GOOD(renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_EXCHANGE));
	GOOD(mkdir("d/f", 0777));
	CODE(renameat2(AT_FDCWD, "d", AT_FDCWD, "d/f", RENAME_EXCHANGE),
		EINVAL);
	CODE(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d", RENAME_EXCHANGE),
		EINVAL);
}

/* Two names of one file are left alone. */
static void rename_same(void)
{
	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		struct stat was;

		ABOUT("a %s onto itself", conform_kind(k));
		conform_make(k, "a", 0666, CONFORM_ROOT);
		GOOD(rename("a", "a"));
		was = conform_stat("a");
		CODE(renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_NOREPLACE),
			EEXIST);
		if (k != CONFORM_DIR) {
			GOOD(link("a", "b"));
			GOOD(rename("a", "b"));
			SAME(conform_stat("a").st_ino, was.st_ino);
			SAME(conform_stat("b").st_ino, was.st_ino);
			SAME(conform_stat("b").st_nlink, 2);
			conform_wipe("b");
		}
		SAME(conform_stat("a").st_ino, was.st_ino);
		conform_wipe("a");
	}
}

static void rename_below(void)
{
	ABOUT("a directory into itself");
	GOOD(mkdir("d", 0777));
	GOOD(mkdir("d/e", 0777));
	GOOD(mkdir("d/e/f", 0777));
	CODE(rename("d", "d/x"), EINVAL);
	CODE(rename("d", "d/e"), EINVAL);
	CODE(rename("d", "d/e/x"), EINVAL);
	CODE(rename("d", "d/e/f/x"), EINVAL);
	CODE(rename("d/e", "d/e/f"), EINVAL);
	CODE(rename("d/e/f", "d/e"), ENOTEMPTY);
	CODE(rename("d/e/f", "d"), ENOTEMPTY);
	GOOD(symlink("d/e", "way"));
	CODE(rename("d", "way/x"), EINVAL);
	GOOD(rename("d/e/f", "d/f"));
	GOOD(rename("d/e", "d/f/e"));
	CODE(rename("d/f", "d/f/e/x"), EINVAL);
}

/* Moving a directory changes its "..", so it has to be writable. */
static void rename_own_directory(void)
{
	GOOD(mkdir("a", 0777));
	GOOD(mkdir("b", 0777));
	for (mode_t m = 0; m < 8; m++)
		for (unsigned who = 1; who < CONFORM_WHOS; who++) {
			const mode_t mode = who == CONFORM_OWNER ? m << 6 | 077
					    : who == CONFORM_MEMBER
						    ? m << 3 | 0707
						    : m | 0770;

			ABOUT("a directory of mode %03o", mode);
			conform_make(CONFORM_DIR, "a/d", mode, CONFORM_OWNER);
			conform_as(who);
			GOOD(rename("a/d", "a/e"));
			CODE(rename("a/e", "b/d"), m & 2 ? 0 : EACCES);
			conform_as(CONFORM_ROOT);
			conform_wipe(m & 2 ? "b/d" : "a/e");
		}
}

static void rename_directories_permit(void)
{
	GOOD(mkdir("a", 0777));
	GOOD(mkdir("b", 0777));
	GOOD(chown("a", 30001, 30001));
	GOOD(chown("b", 30001, 30001));
	for (mode_t from = 0; from < 8; from++)
		for (mode_t to = 0; to < 8; to++) {
			const bool may = (from & 3) == 3 && (to & 3) == 3;

			conform_make(CONFORM_REG, "a/x", 0666, CONFORM_ROOT);
			GOOD(chmod("a", from << 6));
			GOOD(chmod("b", to << 6));
			ABOUT("from mode %03o to %03o", from << 6, to << 6);
			conform_as(CONFORM_OWNER);
			EITHER(rename("a/x", "b/y"), may, EACCES);
			conform_as(CONFORM_ROOT);
			conform_wipe(may ? "b/y" : "a/x");
		}
}

const struct conform_group conform_rename[] = {
	{"rename of every kind onto every kind", rename_kinds},
	{"rename that exchanges", rename_exchange},
	{"rename of one object's names", rename_same},
	{"rename below itself", rename_below},
	{"rename of directories that are not writable", rename_own_directory},
	{"rename between directories that permit", rename_directories_permit},
	{NULL, NULL},
};
