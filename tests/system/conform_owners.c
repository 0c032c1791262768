/* chmod and chown: who may, what else changes, and what does not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "conform.h"

static bool owners_later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec ||
	       (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static bool owners_equal(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool owners_in(enum conform_who who, gid_t gid)
{
	return gid == CONFORM_GID(who) ||
	       (who == CONFORM_MEMBER && gid == CONFORM_GID(CONFORM_OWNER));
}

/* --- chmod --------------------------------------------------------------- */

static void owners_chmod_kind(enum conform_kind kind, enum conform_who who)
{
	static const mode_t modes[] = {0, 0777, 0644, 0700, 0070, 0007, 01777,
		02755, 02745, 04755, 06755, 07777, 0111};
	const bool may = who == CONFORM_ROOT || who == CONFORM_OWNER;

	conform_make(kind, "x", 0123, CONFORM_OWNER);
	for (unsigned i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		const mode_t was = conform_mode("x");

		ABOUT("chmod of a %s to %04o", conform_kind(kind), modes[i]);
		conform_as(who);
		EITHER(chmod("x", modes[i]), may, EPERM);
		conform_as(CONFORM_ROOT);
		SAME(conform_mode("x"), may ? modes[i] : was);
		SAME(conform_stat("x").st_mode & S_IFMT, conform_format(kind));
	}
	conform_wipe("x");
}

static void owners_chmod(void)
{
	for (enum conform_kind kind = 0; kind < CONFORM_KINDS; kind++)
		for (enum conform_who who = 0; who < CONFORM_WHOS; who++)
			if (kind != CONFORM_LNK)
				owners_chmod_kind(kind, who);
	conform_make(CONFORM_REG, "target", 0644, CONFORM_OWNER);
	conform_make(CONFORM_LNK, "link", 0, CONFORM_ROOT);
	ABOUT("chmod follows links");
	conform_as(CONFORM_OWNER);
	GOOD(chmod("link", 0604));
	conform_as(CONFORM_ROOT);
	SAME(conform_mode("target"), 0604);
	SAME(conform_mode("link"), 0777);
	CODE(fchmodat(AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
}

/* The owner of a file whose group is not his cannot set S_ISGID. */
static void owners_chmod_group(void)
{
	for (enum conform_kind kind = 0; kind < CONFORM_KINDS; kind++) {
		if (kind == CONFORM_LNK)
			continue;
		for (enum conform_who who = 0; who < CONFORM_WHOS; who++)
			for (enum conform_who g = 0; g < CONFORM_WHOS; g++) {
				const bool in = who == CONFORM_ROOT ||
						owners_in(who, CONFORM_GID(g));

				ABOUT("chmod of a %s of %s's group",
					conform_kind(kind), conform_name(g));
				conform_make(kind, "x", 0755, who);
				GOOD(lchown("x", CONFORM_KEEP, CONFORM_GID(g)));
				conform_as(who);
				GOOD(chmod("x", 02755));
				conform_as(CONFORM_ROOT);
				SAME(conform_mode("x"), in ? 02755 : 0755);
				GOOD(chmod("x", 02755));
				conform_as(who);
				GOOD(chmod("x", 02711));
				conform_as(CONFORM_ROOT);
				SAME(conform_mode("x"), in ? 02711 : 0711);
				conform_wipe("x");
			}
	}
}

static void owners_chmod_times(void)
{
	struct stat was[CONFORM_KINDS];

	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		if (k == CONFORM_LNK)
			continue;
		conform_make(k, conform_kind(k), 0755, CONFORM_OWNER);
		was[k] = conform_stat(conform_kind(k));
	}
	for (enum conform_who who = CONFORM_WHOS; who-- > 0;) {
		const bool may = who == CONFORM_ROOT || who == CONFORM_OWNER;

		conform_tick();
		for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
			struct stat now;

			if (k == CONFORM_LNK)
				continue;
			ABOUT("times after chmod of a %s", conform_kind(k));
			conform_as(who);
			EITHER(chmod(conform_kind(k), 0755), may, EPERM);
			now = conform_stat(conform_kind(k));
			SAME(owners_later(now.st_ctim, was[k].st_ctim), may);
			TRUE(owners_equal(now.st_mtim, was[k].st_mtim));
			TRUE(owners_equal(now.st_atim, was[k].st_atim));
			was[k] = now;
		}
	}
}

/* --- chown --------------------------------------------------------------- */

struct owners_case {
	enum conform_kind kind;
	enum conform_who who;
	bool mine;
	uid_t uid;
	gid_t gid;
};

static bool owners_may(const struct owners_case *c, uid_t owner, gid_t group)
{
	if (c->who == CONFORM_ROOT)
		return true;
	if (c->uid != CONFORM_KEEP && (!c->mine || c->uid != owner))
		return false;
	return c->gid == CONFORM_KEEP ||
	       (c->mine && (c->gid == group || owners_in(c->who, c->gid)));
}

static mode_t owners_left(mode_t mode, bool in)
{
	mode &= ~(mode_t)S_ISUID;
	if (mode & S_IXGRP || !in)
		mode &= ~(mode_t)S_ISGID;
	return mode;
}

static void owners_chown_once(const struct owners_case *c, mode_t mode)
{
	const uid_t owner =
		c->mine ? CONFORM_UID(c->who) : CONFORM_UID(CONFORM_OTHER) + 5;
	const gid_t group = 31000;
	const bool may = owners_may(c, owner, group);
	const bool bits = c->kind != CONFORM_LNK;
	const mode_t was = mode;
	struct stat st;

	conform_make(c->kind, "x", mode, CONFORM_ROOT);
	GOOD(lchown("x", owner, group));
	GOOD(bits ? chmod("x", mode) : 0);
	ABOUT("chown of %s %s of mode %04o to %d, %d",
		c->mine ? "one's own" : "another's", conform_kind(c->kind),
		mode, (int)c->uid, (int)c->gid);
	conform_as(c->who);
	EITHER(bits ? chown("x", c->uid, c->gid) : lchown("x", c->uid, c->gid),
		may, EPERM);
	conform_as(CONFORM_ROOT);
	st = conform_stat("x");
	SAME(st.st_uid, may && c->uid != CONFORM_KEEP ? c->uid : owner);
	SAME(st.st_gid, may && c->gid != CONFORM_KEEP ? c->gid : group);
	if (may && bits && c->kind != CONFORM_DIR)
		mode = owners_left(mode, c->who == CONFORM_ROOT);
	/* FUSE's bit for it means "if the group may run it" */
	if (bits && (!conform_fuse() || (was & 02010) != 02000))
		SAME(conform_mode("x"), mode);
	conform_wipe("x");
}

static void owners_chown_case(enum conform_kind kind, unsigned who, unsigned n)
{
	static const mode_t modes[] = {0755, 06755, 06745, 04711, 02750};
	const uid_t uids[] = {CONFORM_KEEP, CONFORM_UID(who),
		CONFORM_UID(CONFORM_OTHER) + 5, 0};
	const gid_t gids[] = {CONFORM_KEEP, CONFORM_GID(who),
		CONFORM_GID(CONFORM_OWNER), 31000, 32000};
	const struct owners_case c = {
		kind, who, n % 2, uids[n / 2 % 4], gids[n / 8]};

	owners_chown_once(&c, modes[(n + n / 8) % 5]);
}

static void owners_chown(void)
{
	for (enum conform_kind kind = 0; kind < CONFORM_KINDS; kind++)
		for (unsigned who = 0; who < CONFORM_WHOS; who++)
			for (unsigned n = 0; n < 2 * 4 * 5; n++)
				owners_chown_case(kind, who, n);
}

/* Of bits that are to go it is a chmod, which is not everybody's. */
static void owners_chown_nothing(void)
{
	static const mode_t modes[] = {0755, 01777, 02755, 02745, 04711, 06700};

	for (enum conform_who who = 0; who < CONFORM_WHOS; who++)
		for (unsigned i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
			const bool in =
				who == CONFORM_ROOT ||
				owners_in(who, CONFORM_GID(CONFORM_OWNER));
			const mode_t left = owners_left(modes[i], in);
			const bool may = who == CONFORM_ROOT ||
					 who == CONFORM_OWNER ||
					 left == modes[i];

			ABOUT("chown to nothing new, mode %04o", modes[i]);
			conform_make(CONFORM_REG, "x", 0, CONFORM_OWNER);
			GOOD(chmod("x", modes[i]));
			conform_as(who);
			EITHER(chown("x", CONFORM_KEEP, CONFORM_KEEP), may,
				EPERM);
			conform_as(CONFORM_ROOT);
			SAME(conform_mode("x"), may ? left : modes[i]);
			conform_wipe("x");
		}
}

static void owners_chown_follows(void)
{
	conform_make(CONFORM_REG, "target", 0644, CONFORM_OWNER);
	conform_make(CONFORM_LNK, "link", 0, CONFORM_OWNER);
	ABOUT("chown and links");
	GOOD(chown("link", 41, 42));
	SAME(conform_stat("target").st_uid, 41);
	SAME(conform_stat("link").st_uid, CONFORM_UID(CONFORM_OWNER));
	GOOD(lchown("link", 43, 44));
	SAME(conform_stat("target").st_gid, 42);
	SAME(conform_stat("link").st_gid, 44);
	GOOD(fchownat(AT_FDCWD, "link", 45, 46, AT_SYMLINK_NOFOLLOW));
	SAME(conform_stat("link").st_uid, 45);
	GOOD(chown("target", 0x7fffffff, 0x7ffffffe));
	SAME(conform_stat("target").st_uid, 0x7fffffff);
	SAME(conform_stat("target").st_gid, 0x7ffffffe);
	GOOD(chown("target", 0xfffffffeu, 0xfffffffeu));
	SAME(conform_stat("target").st_uid, 0xfffffffeu);
	SAME(conform_stat("target").st_gid, 0xfffffffeu);
}

static void owners_chown_times(void)
{
	struct stat was[CONFORM_KINDS];

	for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
		conform_make(k, conform_kind(k), 0755, CONFORM_OWNER);
		was[k] = conform_stat(conform_kind(k));
	}
	for (unsigned round = 0; round < 4; round++) {
		const enum conform_who who = round == 0	  ? CONFORM_OTHER
					     : round == 1 ? CONFORM_OWNER
							  : CONFORM_ROOT;
		const uid_t uid = round == 2 ? 77 : CONFORM_UID(CONFORM_OWNER);

		conform_tick();
		for (enum conform_kind k = 0; k < CONFORM_KINDS; k++) {
			struct stat now;

			ABOUT("times after chown of a %s", conform_kind(k));
			conform_as(who);
			EITHER(lchown(conform_kind(k), uid, CONFORM_KEEP),
				round > 0, EPERM);
			now = conform_stat(conform_kind(k));
			SAME(owners_later(now.st_ctim, was[k].st_ctim),
				round > 0);
			TRUE(owners_equal(now.st_mtim, was[k].st_mtim));
			TRUE(owners_equal(now.st_atim, was[k].st_atim));
			was[k] = now;
		}
	}
}

const struct conform_group conform_owners[] = {
	{"chmod by everyone of everything", owners_chmod},
	{"chmod and groups that are not one's own", owners_chmod_group},
	{"chmod and times", owners_chmod_times},
	{"chown by everyone of everything", owners_chown},
	{"chown that changes nothing", owners_chown_nothing},
	{"chown and symbolic links", owners_chown_follows},
	{"chown and times", owners_chown_times},
	{NULL, NULL},
};
