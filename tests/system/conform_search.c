/* Permissions on the directories that a path leads through. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "conform_calls.h"

/* The three bits of mode that count for who in a directory of the owner's. */
static mode_t search_bits(mode_t mode, enum conform_who who)
{
	switch (who) {
	case CONFORM_OWNER:
		return mode >> 6 & 7;
	case CONFORM_MEMBER:
		return mode >> 3 & 7;
	case CONFORM_OTHER:
		return mode & 7;
	case CONFORM_ROOT:
	case CONFORM_WHOS:
		break;
	}
	return 7;
}

/* One call at path "d/x" with "d" of this mode; x is the caller's. */
static void search_once(const struct conform_call *c, enum conform_who who,
	mode_t mode, const char *path)
{
	const mode_t bits = search_bits(mode, who);
	const mode_t need = c->flags & CALL_WRITES ? 3 : 1;
	bool there;

	conform_calls_src();
	there = conform_there("d/x");
	if (there != !(c->flags & CALL_MAKES)) {
		if (there)
			conform_wipe("d/x");
		else
			conform_make(c->kind, "d/x", 0777, who);
	} else if (there && (conform_stat("d/x").st_mode & S_IFMT) !=
				    conform_format(c->kind)) {
		conform_wipe("d/x");
		conform_make(c->kind, "d/x", 0777, who);
	}
	GOOD(chmod("d", mode));
	conform_as(who);
	ABOUT("%s in a directory of mode %03o", c->name, mode);
	EITHER(c->run(path), (bits & need) == need, EACCES);
	conform_as(CONFORM_ROOT);
	there = conform_there("d/x");
	SAME(there, (bits & need) != need ? !(c->flags & CALL_MAKES)
					  : !(c->flags & CALL_TAKES));
}

static void search_who(enum conform_who who)
{
	conform_make(CONFORM_DIR, "d", 0777, CONFORM_OWNER);
	for (const struct conform_call *c = conform_calls; c->name; c++) {
		if (conform_there("d/x"))
			conform_wipe("d/x");
		for (mode_t bits = 0; bits < 8; bits++) {
			/* the other classes have what this one lacks */
			mode_t mode = (7 - bits) * 0111;
			const int at = who == CONFORM_OWNER    ? 6
				       : who == CONFORM_MEMBER ? 3
							       : 0;

			mode &= ~(mode_t)(7u << at);
			search_once(c, who, mode | bits << at, "d/x");
		}
	}
	conform_wipe("src");
}

static void search_owner(void)
{
	search_who(CONFORM_OWNER);
}

static void search_member(void)
{
	search_who(CONFORM_MEMBER);
}

static void search_other(void)
{
	search_who(CONFORM_OTHER);
}

static void search_root(void)
{
	search_who(CONFORM_ROOT);
}

/* What no name has is not told of where names may not be looked for. */
static void search_deep(void)
{
	conform_calls_src();
	GOOD(mkdir("a", 0755));
	GOOD(mkdir("a/b", 0755));
	GOOD(mkdir("a/b/c", 0777));
	for (const struct conform_call *c = conform_calls; c->name; c++) {
		if (!(c->flags & CALL_MAKES))
			conform_make(c->kind, "a/b/c/x", 0777, CONFORM_OWNER);
		for (mode_t m = 0; m < 8; m++) {
			const bool may = m & 1;

			if (may)
				continue;
			GOOD(chmod("a", 0750 | m));
			conform_as(CONFORM_OWNER);
			ABOUT("%s below a directory of mode %03o", c->name,
				0750 | m);
			CODE(c->run("a/b/c/x"), EACCES);
			CODE(c->run("a/b/../b/c/x"), EACCES);
			CODE(c->run("a/none"), EACCES);
			CODE(c->run("a/b/none/x"), EACCES);
			conform_as(CONFORM_ROOT);
		}
		if (!(c->flags & CALL_MAKES))
			conform_wipe("a/b/c/x");
	}
}

static void search_reading(void)
{
	conform_make(CONFORM_DIR, "d", 0777, CONFORM_OWNER);
	conform_make(CONFORM_REG, "d/x", 0644, CONFORM_ROOT);
	for (enum conform_who who = 0; who < CONFORM_WHOS; who++) {
		for (mode_t mode = 0; mode < 0777; mode += 13) {
			const mode_t bits = search_bits(mode, who);

			GOOD(chmod("d", mode));
			conform_as(who);
			ABOUT("mode %03o", mode);
			EITHER(open("d", O_RDONLY | O_DIRECTORY), bits & 4,
				EACCES);
			EITHER(chdir("d"), bits & 1, EACCES);
			if (bits & 1)
				GOOD(chdir(".."));
			CODE(open("d", O_WRONLY), EISDIR);
			CODE(open("d", O_RDWR), EISDIR);
			EITHER(access("d", R_OK), bits & 4, EACCES);
			EITHER(access("d", W_OK), bits & 2, EACCES);
			EITHER(access("d", X_OK), bits & 1, EACCES);
			EITHER(access("d/.", F_OK), bits & 1, EACCES);
			EITHER(access("d/..", F_OK), bits & 1, EACCES);
			conform_as(CONFORM_ROOT);
			(void)close(3);
			(void)close(4);
		}
	}
}

const struct conform_group conform_search[] = {
	{"directories permit their owner", search_owner},
	{"directories permit their group", search_member},
	{"directories permit others", search_other},
	{"directories permit root", search_root},
	{"directories above hide all", search_deep},
	{"directories entered and read", search_reading},
	{NULL, NULL},
};
