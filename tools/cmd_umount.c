#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#include "tools/args.h"
#include "tools/cmd.h"
#include "tools/mountinfo.h"
#include "tools/progress.h"
#include "tools/show.h"
#include "tools/wait.h"

#define CMD_END_MS 60000u

extern char **environ;

/* A dead daemon cannot flush, and is no reason to stay mounted. */
static int cmd_ask(
	const struct mountinfo *m, struct ask **ret, struct pluri_err *err)
{
	pluri_auto(config) c = NULL;
	int r;

	/* Its -ENOENT is another one than a daemon's absence. */
	r = config_load(m->config, &c, err);
	if (r == 0)
		r = ask_new(m->config, 0, ret, err);
	if (r != -ENOENT || !c)
		return r;
	(void)fprintf(stderr,
		"pluri: no daemon serves %s; what is pending goes to the "
		"clouds when it is mounted again\n",
		m->dir);
	return 0;
}

static int cmd_flush(
	const struct mountinfo *m, bool json, struct pluri_err *err)
{
	pluri_auto(ask) a = NULL;
	ask_auto_json done = NULL;
	int r;

	r = cmd_ask(m, &a, err);
	if (r == 0 && a)
		r = wait_kernel(m->dir, false, err);
	if (r == 0 && a)
		r = wait_sync(a, json, &done, err);
	if (r < 0)
		return pluri_where(err,
			"%s is still mounted (--no-wait leaves what is pending "
			"for the next mount)",
			m->dir);
	return 0;
}

static int cmd_detach(const char *dir, struct pluri_err *err)
{
	char tool[] = "fusermount3";
	char flag[] = "-u";
	char end[] = "--";
	char *const argv[] = {tool, flag, end, strdupa(dir), NULL};
	int status = 0;
	pid_t pid;
	int r;

	r = posix_spawnp(&pid, tool, NULL, NULL, argv, environ);
	if (r != 0)
		return pluri_fail(err, r,
			"fusermount3 cannot be started: %s; install the "
			"package fuse3",
			strerror(r));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return pluri_fail(
				err, errno, "fusermount3: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return pluri_fail(err, EBUSY,
			"%s cannot be unmounted; fuser -vm %s shows who uses "
			"it",
			dir, dir);
	return 0;
}

/* 0: nobody serves the volume any more. */
static int cmd_free(const char *lock)
{
	const int fd = open(lock, O_RDONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

/* Until the daemon has closed the database and let go of its lock. */
static int cmd_ended(const struct mountinfo *m, struct pluri_err *err)
{
	pluri_auto(config) c = NULL;
	const uint64_t until = clock_mono_ms(clock_system()) + CMD_END_MS;
	char lock[CONFIG_PATH_MAX + 8];
	struct progress p;
	int r;

	r = config_load(m->config, &c, err);
	if (r < 0)
		return pluri_where(err, "unmounted, but");
	(void)snprintf(lock, sizeof(lock), "%s/lock", c->state);
	progress_start(&p, "umount", true);
	for (r = cmd_free(lock); r == -EWOULDBLOCK; r = cmd_free(lock)) {
		if (clock_mono_ms(clock_system()) >= until)
			return pluri_fail(err, ETIMEDOUT,
				"unmounted, but the daemon still works after "
				"%u s; see %s/daemon.log",
				CMD_END_MS / 1000, c->state);
		progress_nap(&p);
	}
	if (r < 0)
		return pluri_fail(err, -r, "%s: %s", lock, strerror(-r));
	return 0;
}

static int cmd_run(const char *dir, bool wait, bool json, struct mountinfo *ret,
	struct pluri_err *err)
{
	int r;

	r = mountinfo_find(dir, ret, err);
	if (r < 0)
		return r;
	if (ret->path[0])
		return pluri_fail(err, EINVAL,
			"%s is not a mount point; the volume is mounted at %s",
			dir, ret->dir);
	if (wait)
		r = cmd_flush(ret, json, err);
	if (r == 0)
		r = cmd_detach(ret->dir, err);
	return r < 0 ? r : cmd_ended(ret, err);
}

int cmd_umount(int argc, char **argv)
{
	struct pluri_err err = {0};
	struct mountinfo m;
	const char *dir = NULL;
	bool json = false;
	bool hurry = false;
	const struct args_option options[] = {ARGS_JSON(&json),
		{"--no-wait", NULL,
			"wait 10 s at most; the rest follows the next mount",
			&hurry, NULL},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"umount DIR [--no-wait]",
		"Waits until everything is in the clouds, then unmounts; what "
		"a store that is\ndown is owed follows the next mount. Ctrl-C "
		"while it waits leaves the volume\nmounted.",
		options, &dir, 1, 1};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	if (cmd_run(dir, !hurry, json, &m, &err) < 0)
		return show_fail(&err);
	if (json) {
		ask_auto_json o = json_pack("{s:s}", "unmounted", m.dir);

		return o ? show_json(o) : 1;
	}
	return 0;
}
