/* Who may read, write and run a file; what a new one's mode and group are. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conform.h"

static mode_t modes_bits(mode_t mode, enum conform_who who)
{
	const int at[CONFORM_WHOS] = {6, 6, 3, 0};

	return mode >> at[who] & 7;
}

static int modes_open(const char *name, int flags)
{
	const int fd = open(name, flags | O_NONBLOCK);

	return fd < 0 ? -1 : close(fd);
}

/* Root may all, but run only what somebody may run. */
static void modes_file(mode_t mode, enum conform_who who)
{
	const bool root = who == CONFORM_ROOT;
	const mode_t b = modes_bits(mode, who);
	const bool r = root || b & 4;
	const bool w = root || b & 2;
	const bool x = root ? mode & 0111 : b & 1;

	ABOUT("a file of mode %03o", mode);
	conform_as(who);
	EITHER(modes_open("f", O_RDONLY), r, EACCES);
	EITHER(modes_open("f", O_WRONLY), w, EACCES);
	EITHER(modes_open("f", O_RDWR), r && w, EACCES);
	EITHER(modes_open("f", O_RDONLY | O_TRUNC), r && w, EACCES);
	EITHER(truncate("f", 0), w, EACCES);
	EITHER(utimensat(AT_FDCWD, "f", NULL, 0), w || who == CONFORM_OWNER,
		EACCES);
	EITHER(access("f", R_OK), r, EACCES);
	EITHER(access("f", W_OK), w, EACCES);
	EITHER(access("f", X_OK), x, EACCES);
	EITHER(access("f", R_OK | W_OK | X_OK), r && w && x, EACCES);
	conform_as(CONFORM_ROOT);
}

static void modes_files(void)
{
	conform_make(CONFORM_REG, "f", 0644, CONFORM_OWNER);
	for (mode_t mode = 0; mode <= 0777; mode++) {
		/* all of one class with the others' opposite, and a sample */
		if (mode % 5 && mode % 9)
			continue;
		GOOD(chmod("f", mode));
		for (enum conform_who who = 0; who < CONFORM_WHOS; who++)
			modes_file(mode, who);
	}
}

static int modes_run(const char *name)
{
	char self[64];
	char *const argv[] = {self, NULL};
	char *const envp[] = {NULL};

	(void)snprintf(self, sizeof(self), "%s", name);
	(void)execve(self, argv, envp);
	return errno;
}

static void modes_running(void)
{
	conform_fill("script", "#!/bin/true\n");
	GOOD(lchown("script", CONFORM_UID(CONFORM_OWNER),
		CONFORM_GID(CONFORM_OWNER)));
	for (mode_t mode = 0; mode <= 0777; mode += 7) {
		GOOD(chmod("script", mode));
		for (enum conform_who who = 0; who < CONFORM_WHOS; who++) {
			const mode_t b = modes_bits(mode, who);
			const bool x = who ? b & 1 : mode & 0111;

			ABOUT("running a file of mode %03o", mode);
			conform_as(who);
			/* the interpreter does not read it */
			SAME(conform_fork(modes_run, "script"), x ? 0 : EACCES);
			conform_as(CONFORM_ROOT);
		}
	}
	GOOD(mkdir("d", 0777));
	SAME(conform_fork(modes_run, "d"), EACCES);
	GOOD(mkfifo("p", 0777));
	SAME(conform_fork(modes_run, "p"), EACCES);
}

static void modes_fifos(void)
{
	conform_make(CONFORM_FIFO, "p", 0644, CONFORM_OWNER);
	for (mode_t mode = 0; mode <= 0777; mode += 11) {
		GOOD(chmod("p", mode));
		for (enum conform_who who = 0; who < CONFORM_WHOS; who++) {
			const mode_t b = who ? modes_bits(mode, who) : 7;

			ABOUT("a fifo of mode %03o", mode);
			conform_as(who);
			EITHER(modes_open("p", O_RDONLY), b & 4, EACCES);
			CODE(modes_open("p", O_WRONLY), b & 2 ? ENXIO : EACCES);
			EITHER(modes_open("p", O_RDWR), (b & 6) == 6, EACCES);
			conform_as(CONFORM_ROOT);
		}
	}
}

/* --- new objects --------------------------------------------------------- */

static int modes_bind(const char *name, mode_t mode)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int r;

	(void)mode;
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
	r = bind(fd, (struct sockaddr *)&a, sizeof(a));
	(void)close(fd);
	return r;
}

static int modes_creat(const char *name, mode_t mode)
{
	const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, mode);

	return fd < 0 ? -1 : close(fd);
}

static int modes_mknod(const char *name, mode_t mode)
{
	return mknod(name, S_IFREG | mode, 0);
}

static const struct {
	const char *name;
	int (*make)(const char *name, mode_t mode);
	enum conform_kind kind;
} modes_makers[] = {{"open", modes_creat, CONFORM_REG},
	{"mkdir", mkdir, CONFORM_DIR}, {"mkfifo", mkfifo, CONFORM_FIFO},
	{"mknod", modes_mknod, CONFORM_REG},
	{"bind", modes_bind, CONFORM_SOCK}};

#define MODES_MAKERS (sizeof(modes_makers) / sizeof(*modes_makers))

static void modes_masked(unsigned i, mode_t asked, mode_t mask)
{
	const bool dir = modes_makers[i].kind == CONFORM_DIR;
	mode_t mode = modes_makers[i].make == modes_bind ? 0777 : asked;

	/* mkdir takes the sticky bit, and no other */
	mode &= dir ? 01777 : 07777;
	mode &= ~mask;
	ABOUT("%s of %04o, umask %03o", modes_makers[i].name, asked, mask);
	conform_as(CONFORM_OWNER);
	(void)umask(mask);
	GOOD(modes_makers[i].make("x", asked));
	(void)umask(0);
	conform_as(CONFORM_ROOT);
	SAME(conform_mode("x"), mode);
	SAME(conform_stat("x").st_mode & S_IFMT,
		conform_format(modes_makers[i].kind));
	conform_wipe("x");
}

static void modes_umask(void)
{
	static const mode_t masks[] = {
		0, 022, 077, 027, 0777, 0111, 0222, 0444, 0700, 0070, 0007};
	static const mode_t asked[] = {0, 0777, 0666, 0644, 0640, 0400, 0123,
		0070, 01777, 01644, 04755, 06777};

	for (unsigned m = 0; m < sizeof(masks) / sizeof(*masks); m++)
		for (unsigned a = 0; a < sizeof(asked) / sizeof(*asked); a++)
			for (unsigned i = 0; i < MODES_MAKERS; i++)
				modes_masked(i, asked[a], masks[m]);
}

static void modes_new(
	unsigned i, mode_t dir, enum conform_who who, mode_t asked)
{
	const bool bind = modes_makers[i].make == modes_bind;
	const bool mkdir_it = modes_makers[i].kind == CONFORM_DIR;
	/* the directory's group is OWNER's, and MEMBER is in it */
	const bool in = who != CONFORM_OTHER;
	mode_t mode = bind ? 0777 : asked;
	gid_t gid = CONFORM_GID(who);

	if (mkdir_it)
		mode &= 01777;
	if (dir & S_ISGID) {
		gid = CONFORM_GID(CONFORM_OWNER);
		if (mkdir_it)
			mode |= S_ISGID;
		else if (!in && (mode & 02010) == 02010)
			mode &= ~(mode_t)S_ISGID;
	}
	ABOUT("%s of %04o in a directory of mode %04o", modes_makers[i].name,
		asked, dir);
	conform_as(who);
	GOOD(modes_makers[i].make("d/x", asked));
	conform_as(CONFORM_ROOT);
	SAME(conform_mode("d/x"), mode);
	SAME(conform_stat("d/x").st_uid, CONFORM_UID(who));
	SAME(conform_stat("d/x").st_gid, gid);
	SAME(conform_stat("d/x").st_nlink, mkdir_it ? 2 : 1);
	SAME(conform_stat("d/x").st_size > 0,
		mkdir_it && conform_stat("d/x").st_size > 0);
	conform_wipe("d/x");
}

static void modes_in(mode_t dir)
{
	static const mode_t asked[] = {0644, 0755, 02755, 02644, 06775, 02010};

	GOOD(chmod("d", dir));
	for (unsigned a = 0; a < sizeof(asked) / sizeof(*asked); a++)
		for (unsigned i = 0; i < MODES_MAKERS; i++)
			for (unsigned who = 0; who < CONFORM_WHOS; who++)
				modes_new(i, dir, who, asked[a]);
}

static void modes_groups(void)
{
	conform_make(CONFORM_DIR, "d", 0777, CONFORM_OWNER);
	modes_in(0777);
	modes_in(01777);
	modes_in(02777);
	modes_in(03777);
	GOOD(chmod("d", 02777));
	conform_as(CONFORM_OTHER);
	ABOUT("a symbolic link, a hard link and a rename keep or take groups");
	GOOD(symlink("x", "d/s"));
	GOOD(modes_creat("o", 0644));
	GOOD(link("o", "d/l"));
	GOOD(rename("o", "d/m"));
	conform_as(CONFORM_ROOT);
	SAME(conform_stat("d/s").st_gid, CONFORM_GID(CONFORM_OWNER));
	SAME(conform_stat("d/l").st_gid, CONFORM_GID(CONFORM_OTHER));
	SAME(conform_stat("d/m").st_gid, CONFORM_GID(CONFORM_OTHER));
	GOOD(mkdir("d/e", 0777));
	GOOD(mkdir("d/e/f", 0777));
	SAME(conform_mode("d/e/f"), 02777);
	SAME(conform_stat("d/e/f").st_gid, CONFORM_GID(CONFORM_OWNER));
}

/* Devices are root's; the rest is everybody's. */
static void modes_devices(void)
{
	for (enum conform_who who = 1; who < CONFORM_WHOS; who++) {
		conform_as(who);
		ABOUT("mknod by an ordinary user");
		CODE(mknod("c", S_IFCHR | 0644, 0x103), EPERM);
		CODE(mknod("b", S_IFBLK | 0644, 0x103), EPERM);
		CODE(mknod("d", S_IFDIR | 0644, 0), EPERM);
		CODE(mknod("l", S_IFLNK | 0644, 0), EINVAL);
		GOOD(mknod("p", S_IFIFO | 0644, 0));
		GOOD(mknod("s", S_IFSOCK | 0644, 0));
		GOOD(mknod("r", 0644, 0));
		GOOD(unlink("p"));
		GOOD(unlink("s"));
		GOOD(unlink("r"));
	}
	conform_as(CONFORM_ROOT);
	for (unsigned i = 0; i < 2; i++) {
		const mode_t format = i ? S_IFBLK : S_IFCHR;

		for (dev_t dev = 1; dev < (1u << 31); dev *= 3) {
			ABOUT("device %llx", (unsigned long long)dev);
			GOOD(mknod("x", format | 0600, dev));
			SAME(conform_stat("x").st_rdev, dev);
			SAME(conform_stat("x").st_mode, format | 0600);
			GOOD(unlink("x"));
		}
	}
	CODE(mknod("d", S_IFDIR | 0644, 0), EPERM);
	CODE(mknod("l", S_IFLNK | 0644, 0), EINVAL);
}

const struct conform_group conform_modes[] = {
	{"modes of files permit", modes_files},
	{"modes of files let them run", modes_running},
	{"modes of fifos permit", modes_fifos},
	{"modes of new objects and umask", modes_umask},
	{"modes and groups of new objects", modes_groups},
	{"modes and numbers of devices", modes_devices},
	{NULL, NULL},
};
