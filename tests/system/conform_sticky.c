/* What the sticky bit of a directory keeps from whom. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "conform.h"

struct sticky_case {
	enum conform_kind kind;
	enum conform_who dir, object, who;
	bool sticky;
};

static bool sticky_may(const struct sticky_case *c)
{
	return !c->sticky || c->who == CONFORM_ROOT || c->who == c->dir ||
	       c->who == c->object;
}

static void sticky_about(const struct sticky_case *c, const char *verb)
{
	ABOUT("%s of %s's %s in %s's %sdirectory", verb,
		conform_name(c->object), conform_kind(c->kind),
		conform_name(c->dir), c->sticky ? "sticky " : "");
}

static int sticky_remove(const struct sticky_case *c)
{
	return c->kind == CONFORM_DIR ? rmdir("d/x") : unlink("d/x");
}

static void sticky_once(const struct sticky_case *c)
{
	const bool may = sticky_may(c);

	conform_make(c->kind, "d/x", 0777, c->object);
	sticky_about(c, "renaming away");
	conform_as(c->who);
	EITHER(rename("d/x", "out/x"), may, EPERM);
	SAME(conform_there("d/x"), !may);
	if (may)
		GOOD(rename("out/x", "d/x"));
	sticky_about(c, "renaming inside");
	EITHER(rename("d/x", "d/y"), may, EPERM);
	SAME(conform_there("d/y"), may);
	if (may)
		GOOD(rename("d/y", "d/x"));
	sticky_about(c, "removing");
	EITHER(sticky_remove(c), may, EPERM);
	SAME(conform_there("d/x"), !may);
	if (!may)
		conform_wipe("d/x");
	conform_as(CONFORM_ROOT);
}

/* The caller's own object comes over one that is there. */
static void sticky_over(const struct sticky_case *c)
{
	const bool may = sticky_may(c);

	conform_make(c->kind, "d/x", 0777, c->object);
	conform_make(c->kind == CONFORM_DIR ? CONFORM_DIR : CONFORM_REG,
		"out/new", 0777, c->who);
	sticky_about(c, "renaming over");
	conform_as(c->who);
	EITHER(rename("out/new", "d/x"), may, EPERM);
	SAME(conform_there("out/new"), !may);
	conform_as(CONFORM_ROOT);
	SAME(conform_stat("d/x").st_uid, CONFORM_UID(may ? c->who : c->object));
	conform_wipe("out/new");
	conform_wipe("d/x");
}

static void sticky_exchange(const struct sticky_case *c)
{
	const bool may = sticky_may(c);

	conform_make(c->kind, "d/x", 0777, c->object);
	conform_make(CONFORM_REG, "out/new", 0777, c->who);
	sticky_about(c, "exchanging");
	conform_as(c->who);
	EITHER(renameat2(AT_FDCWD, "out/new", AT_FDCWD, "d/x", RENAME_EXCHANGE),
		may, EPERM);
	conform_as(CONFORM_ROOT);
	SAME(conform_stat("d/x").st_uid, CONFORM_UID(may ? c->who : c->object));
	conform_wipe("out/new");
	conform_wipe("d/x");
}

static void sticky_all(void (*run)(const struct sticky_case *))
{
	const unsigned n = CONFORM_WHOS;
	struct sticky_case c;

	GOOD(mkdir("d", 0777));
	GOOD(mkdir("out", 0777));
	for (unsigned i = 0; i < 2 * n * n * n * CONFORM_KINDS; i++) {
		c.who = i % n;
		c.object = i / n % n;
		c.dir = i / n / n % n;
		c.kind = i / n / n / n % CONFORM_KINDS;
		c.sticky = i >= n * n * n * CONFORM_KINDS;
		GOOD(chown("d", CONFORM_UID(c.dir), CONFORM_GID(c.dir)));
		GOOD(chmod("d", c.sticky ? 01777 : 0777));
		run(&c);
	}
}

static void sticky_removing(void)
{
	sticky_all(sticky_once);
}

static void sticky_renaming(void)
{
	sticky_all(sticky_over);
}

static void sticky_exchanging(void)
{
	sticky_all(sticky_exchange);
}

const struct conform_group conform_sticky[] = {
	{"sticky directories and removing", sticky_removing},
	{"sticky directories and renaming over", sticky_renaming},
	{"sticky directories and exchanging", sticky_exchanging},
	{NULL, NULL},
};
