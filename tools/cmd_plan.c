#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/moves.h"
#include "tools/show.h"

/* Whole or not at all: a plan is read by other programs. */
static int cmd_keep(const json_t *plan, const char *file, struct pluri_err *err)
{
	char tmp[CONFIG_PATH_MAX];
	int r = 0;
	int fd;

	if (snprintf(tmp, sizeof(tmp), "%s.new-%ld", file, (long)getpid()) >=
		(int)sizeof(tmp))
		return pluri_fail(
			err, ENAMETOOLONG, "%.80s...: too long", file);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return pluri_fail(err, errno, "%s: %s", tmp, strerror(errno));
	if (json_dumpfd(plan, fd, JSON_INDENT(2) | JSON_SORT_KEYS) != 0 ||
		fsync(fd) < 0)
		r = -EIO;
	if (close(fd) < 0)
		r = -EIO;
	if (r == 0 && rename(tmp, file) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	(void)unlink(tmp);
	return pluri_fail(err, -r, "%s: the plan cannot be written: %s", file,
		strerror(-r));
}

int cmd_plan(int argc, char **argv)
{
	pluri_auto(ask) k = NULL;
	ask_auto_json o = NULL;
	struct pluri_err err = {0};
	const char *volume = NULL;
	const char *out = NULL;
	bool json = false;
	const struct args_option options[] = {ARGS_JSON(&json),
		{"--out", "FILE", "write the plan to FILE, too", NULL, &out},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"plan VOLUME [--out FILE]",
		"Shows what pluri apply would change, and how much would have "
		"to be moved then.\nExit status: 0 nothing to do, 1 failure, 2 "
		"changes are pending.",
		options, &volume, 1, 1};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	r = ask_new(volume, 1, &k, &err);
	if (r == 0)
		r = ask_call(k, "plan", ask_config(k), &o, &err);
	if (r == 0 && out)
		r = cmd_keep(o, out, &err);
	if (r < 0)
		return show_fail(&err);
	if ((json ? show_json(o) : moves_show(o)) != 0)
		return 1;
	return json_is_true(json_object_get(o, "pending")) ? 2 : 0;
}
