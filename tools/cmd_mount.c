#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/mount.h"

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/daemon.h"
#include "tools/show.h"

static int cmd_dir(const char *dir, char to[PATH_MAX], struct pluri_err *err)
{
	struct stat st;

	if (!realpath(dir, to) || stat(to, &st) < 0) {
		if (errno == ENOTCONN)
			return pluri_fail(err, ENOTCONN,
				"%s: a daemon died here; run pluri umount %s "
				"first",
				dir, dir);
		return pluri_fail(err, errno, "%s: cannot be mounted on: %s",
			dir, strerror(errno));
	}
	if (!S_ISDIR(st.st_mode))
		return pluri_fail(err, ENOTDIR, "%s is not a directory", dir);
	return 0;
}

/* Never returns: the process is the daemon until it is unmounted. */
static void cmd_serve(const struct config *c, struct mount_request *r)
{
	struct pluri_err err = {0};
	int e;

	e = mount_volume(c, r, &err);
	if (e < 0)
		daemon_failed(r->ready_fd, &err);
	exit(e < 0 ? 1 : 0);
}

static int cmd_background(
	const struct config *c, struct mount_request *r, struct pluri_err *err)
{
	char log[CONFIG_PATH_MAX + 16];
	pid_t pid;

	(void)snprintf(log, sizeof(log), "%s/daemon.log", c->state);
	pid = daemon_fork(log, &r->ready_fd, err);
	if (pid < 0)
		return (int)pid;
	if (pid == 0)
		cmd_serve(c, r);
	return daemon_wait(r->ready_fd, pid, log, err);
}

static int cmd_run(const char *volume, const char *dir, bool foreground,
	const char *options, struct pluri_err *err)
{
	pluri_auto(config) c = NULL;
	char real[PATH_MAX];
	struct mount_request r = {real, foreground, options, -1};
	int e;

	e = config_load(volume, &c, err);
	if (e == 0)
		e = cmd_dir(dir, real, err);
	if (e < 0)
		return e;
	if (foreground)
		return mount_volume(c, &r, err);
	return cmd_background(c, &r, err);
}

int cmd_mount(int argc, char **argv)
{
	struct pluri_err err = {0};
	const char *words[2] = {NULL, NULL};
	const char *opts = NULL;
	bool json = false;
	bool foreground = false;
	const struct args_option options[] = {ARGS_JSON(&json),
		{"-f", NULL, "stay in the foreground, log to the terminal",
			&foreground, NULL},
		{"-o", "OPT[,OPT...]",
			"allow_other, ro, dev, suid, noatime, nowriteback, ...",
			NULL, &opts},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"mount VOLUME DIR [-f] [-o OPT[,OPT...]]",
		"Serves a volume at a directory; returns once it answers. The "
		"daemon's messages\ngo to STATE/daemon.log.",
		options, words, 2, 2};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	if (cmd_run(words[0], words[1], foreground, opts, &err) < 0)
		return show_fail(&err);
	if (json && !foreground) {
		ask_auto_json o = json_pack("{s:s}", "mounted", words[1]);

		return o ? show_json(o) : 1;
	}
	return 0;
}

/* What is for mount(8) and the init system, not for a filesystem. */
static bool cmd_theirs(const char *opt)
{
	static const char *const words[] = {"defaults", "auto", "noauto",
		"user", "users", "owner", "group", "nofail", "_netdev", NULL};

	for (unsigned i = 0; words[i]; i++)
		if (strcmp(opt, words[i]) == 0)
			return true;
	return strncmp(opt, "x-", 2) == 0 || strncmp(opt, "comment=", 8) == 0;
}

/* The -o string without them, in place; NULL when nothing is left. */
static char *cmd_ours(char *opts)
{
	char *rest = opts;
	char *to = opts;
	char *opt;

	if (!opts)
		return NULL;
	while ((opt = strsep(&rest, ",")) != NULL) {
		const size_t n = strlen(opt);

		if (n == 0 || cmd_theirs(opt))
			continue;
		if (to != opts)
			*to++ = ',';
		memmove(to, opt, n);
		to += n;
	}
	*to = 0;
	return *opts ? opts : NULL;
}

int cmd_mount_helper(int argc, char **argv)
{
	struct pluri_err err = {0};
	const char *words[2] = {NULL, NULL};
	const char *opts = NULL;
	const char *type = NULL;
	bool ignored = false;
	bool fake = false;
	char *own = NULL;
	const struct args_option options[] = {
		{"-o", "OPT[,OPT...]", "mount options", NULL, &opts},
		{"-t", "TYPE", "ignored", NULL, &type},
		{"-s", NULL, "ignored", &ignored, NULL},
		{"-n", NULL, "ignored", &ignored, NULL},
		{"-v", NULL, "ignored", &ignored, NULL},
		{"-f", NULL, "fake: do everything but mount", &fake, NULL},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"mount VOLUME DIR [-o OPT[,OPT...]]",
		"Called by mount(8) for the type fuse.pluri.", options, words,
		2, 2};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	if (fake)
		return 0;
	own = opts ? strdup(opts) : NULL;
	r = cmd_run(words[0], words[1], false, cmd_ours(own), &err);
	free(own);
	return r < 0 ? show_fail(&err) : 0;
}
