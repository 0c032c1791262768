/*
 * tests/system/conform.h - what the conformance checks share: who calls, what
 * is looked at, and assertions that are counted.
 *
 * Each group runs in an empty directory of its own, begins as root with a
 * umask of 0, and is one line of the report. A wrong answer is told with its
 * subject (ABOUT), so that two filesystems' reports can be compared.
 */
#ifndef PLURI_TESTS_SYSTEM_CONFORM_H
#define PLURI_TESTS_SYSTEM_CONFORM_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* MEMBER is, besides its own group, in OWNER's. */
enum conform_who {
	CONFORM_ROOT,
	CONFORM_OWNER,
	CONFORM_MEMBER,
	CONFORM_OTHER,
	CONFORM_WHOS
};

#define CONFORM_UID(who) ((who) == CONFORM_ROOT ? 0u : 30000u + (unsigned)(who))
#define CONFORM_GID(who) CONFORM_UID(who)
#define CONFORM_KEEP ((unsigned)-1)

enum conform_kind {
	CONFORM_REG,
	CONFORM_DIR,
	CONFORM_FIFO,
	CONFORM_SOCK,
	CONFORM_LNK,
	CONFORM_CHR,
	CONFORM_BLK,
	CONFORM_KINDS
};

struct conform_group {
	const char *text;
	void (*run)(void);
};

/* Tables of groups, each ended by {NULL, NULL}. */
extern const struct conform_group conform_paths[], conform_search[],
	conform_modes[], conform_owners[], conform_sticky[], conform_kill[],
	conform_names[], conform_rename[], conform_times[], conform_utimes[],
	conform_open[], conform_sizes[], conform_readonly_make[];

/* Asked where nothing can be made: by -r. */
extern const struct conform_group conform_readonly[];

/* A directory of another filesystem, or NULL. */
const char *conform_other(void);

/* Is it FUSE? For what its protocol cannot say; each use tells why. */
bool conform_fuse(void);

/* --- who and what --------------------------------------------------------- */

void conform_as(enum conform_who who);
enum conform_who conform_now(void);
const char *conform_name(enum conform_who who);
const char *conform_kind(enum conform_kind kind);
mode_t conform_format(enum conform_kind kind);

/* The subject of the assertions that follow. */
void conform_about(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- assertions ----------------------------------------------------------- */

bool conform_good(const char *where, const char *text, long r);
/* Code 0 stands for success. */
bool conform_code(const char *where, const char *text, long r, int code);
bool conform_same(const char *where, const char *text, long long got,
	long long wanted);

#define CONFORM_STR2(n) #n
#define CONFORM_STR(n) CONFORM_STR2(n)
#define CONFORM_HERE __FILE__ ":" CONFORM_STR(__LINE__)

#define ABOUT conform_about
#define GOOD(call) conform_good(CONFORM_HERE, #call, (long)(call))
#define CODE(call, code)                                                      \
	conform_code(CONFORM_HERE, #call, (long)(call), (code))
#define SAME(got, wanted)                                                     \
	conform_same(CONFORM_HERE, #got, (long long)(got), (long long)(wanted))
#define TRUE(cond) SAME(!!(cond), 1)
/* Success, or this failure. */
#define EITHER(call, good, code) CODE(call, (good) ? 0 : (code))

/* --- objects; what fails here is a mistake of the check itself ------------ */

/* As root, of this mode, owned by who; a symbolic link leads to "target". */
void conform_make(enum conform_kind kind, const char *name, mode_t mode,
	enum conform_who who);
/* As root, whatever it is, and without a word when it is not there. */
void conform_wipe(const char *name);
/* Bytes into a file of root's, and back. */
void conform_fill(const char *name, const char *text);
bool conform_holds(const char *name, const char *text);

struct stat conform_stat(const char *name); /* lstat */
bool conform_there(const char *name);
mode_t conform_mode(const char *name); /* its 07777 */

/* Until every clock of the filesystem has moved on. */
void conform_tick(void);

/* An address at which nothing may be read. */
const char *conform_bad(void);

/* Runs f(arg) in a process of its own: its result, or -1. */
int conform_fork(int (*f)(const char *), const char *arg);

#endif
