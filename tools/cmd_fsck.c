#include <errno.h>
#include <string.h>

#include "base/text.h"

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/progress.h"
#include "tools/show.h"

struct cmd_fsck {
	const char *volume;
	bool json, repair, stop;
};

static void cmd_place(const json_t *f)
{
	static const struct {
		const char *key, *before;
	} where[] = {{"path", " "}, {"ino", " inode "}, {"name", " name "},
		{"chunk", " chunk "}, {"pack", " pack "}, {"shard", " shard "},
		{"off", " at "}, {"file", " file "}};

	for (size_t i = 0; i < sizeof(where) / sizeof(*where); i++) {
		const json_t *v = json_object_get(f, where[i].key);
		char text[1024] = "";

		if (json_is_string(v))
			(void)snprintf(
				text, sizeof(text), "%s", json_string_value(v));
		else if (json_is_integer(v))
			(void)snprintf(text, sizeof(text), "%lld",
				(long long)json_integer_value(v));
		if (text[0])
			(void)printf("%s%s", where[i].before, show_clean(text));
	}
}

static void cmd_findings(const json_t *o)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(o, "findings"), i, f)
	{
		const bool mended =
			strcmp(show_text(f, "state"), "repaired") == 0;

		(void)printf("%s%s:",
			json_is_true(json_object_get(f, "grave")) ? "LOST  "
								  : "",
			show_text(f, "code"));
		cmd_place(f);
		(void)putchar('\n');
		show_line(stdout, "    %s", show_text(f, "text"));
		show_line(stdout, "    %s: %s",
			mended ? "repaired" : "--repair",
			show_text(f, "action"));
	}
}

static int cmd_tell(const struct cmd_fsck *c, const json_t *o)
{
	const uint64_t left = show_uint(o, "left");
	const size_t told = json_array_size(json_object_get(o, "findings"));

	if (c->json)
		return show_json(o) ? 1 : left ? 2 : 0;
	cmd_findings(o);
	if (show_uint(o, "found") > told)
		(void)printf("... %llu more\n",
			(unsigned long long)(show_uint(o, "found") - told));
	(void)printf("%llu rows, %llu findings, %llu repaired, %llu left\n",
		(unsigned long long)show_uint(o, "rows"),
		(unsigned long long)show_uint(o, "found"),
		(unsigned long long)show_uint(o, "repaired"),
		(unsigned long long)left);
	if (show_uint(o, "busy"))
		(void)printf("%llu were too busy to be judged; check again "
			     "when there is less to do\n",
			(unsigned long long)show_uint(o, "busy"));
	return left ? 2 : 0;
}

static int cmd_wait(struct ask *a, const struct cmd_fsck *c,
	const json_t *started, json_t **ret, struct pluri_err *err)
{
	struct progress p;
	int r = 0;

	progress_start(&p, "fsck", c->json);
	while (r == 0) {
		ask_auto_json o = NULL;
		char note[80];

		r = ask_call(a, "fsck",
			json_pack("{s:I}", "check",
				(json_int_t)show_uint(started, "check")),
			&o, err);
		if (r < 0)
			break;
		if (strcmp(show_text(o, "state"), "running") != 0) {
			*ret = pluri_steal(o);
			break;
		}
		(void)snprintf(note, sizeof(note), "%s, %llu rows",
			show_text(o, "phase"),
			(unsigned long long)show_uint(o, "rows"));
		progress_part(&p, (unsigned)show_uint(o, "percent"), note);
		progress_nap(&p);
	}
	progress_end(&p);
	return r;
}

static int cmd_stop(const struct cmd_fsck *c, struct pluri_err *err)
{
	ask_auto_json o = NULL;

	if (ask_once(c->volume, "fsck", json_pack("{s:b}", "stop", 1), &o,
		    err) < 0)
		return show_fail(err);
	if (c->json)
		return show_json(o);
	(void)printf(json_is_true(json_object_get(o, "stopping"))
			     ? "stopping\n"
			     : "nothing to stop\n");
	return 0;
}

static int cmd_run(
	const struct cmd_fsck *c, json_t **ret, struct pluri_err *err)
{
	ask_auto_json started = NULL;
	ask_auto_json o = NULL;
	pluri_auto(ask) a = NULL;
	int r = ask_new(c->volume, CONTROL_BARE, &a, err);

	if (r == 0)
		r = ask_call(a, "fsck",
			json_pack("{s:b s:b}", "start", 1, "repair",
				(int)c->repair),
			&started, err);
	if (r == 0)
		r = cmd_wait(a, c, started, &o, err);
	if (r == 0 && strcmp(show_text(o, "state"), "done") != 0)
		r = pluri_fail(err, EIO, "%s", show_text(o, "message"));
	if (r == 0)
		*ret = pluri_steal(o);
	return r;
}

/* A check of a volume that does not open is but a beginning. */
static bool cmd_again(const json_t *o)
{
	return json_object_get(o, "unopened") && show_uint(o, "repaired") &&
	       show_uint(o, "left") == 0;
}

static int cmd_check(const struct cmd_fsck *c, struct pluri_err *err)
{
	ask_auto_json first = NULL;
	ask_auto_json o = NULL;
	int r = cmd_run(c, &o, err);

	if (r == 0 && cmd_again(o)) {
		first = pluri_steal(o);
		if (!c->json)
			(void)cmd_tell(c, first);
		r = cmd_run(c, &o, err);
	}
	if (r < 0)
		return show_fail(err);
	if (first)
		(void)json_object_set(o, "before", first);
	r = cmd_tell(c, o);
	if (!json_object_get(o, "unopened"))
		return r;
	(void)pluri_fail(err, EIO, "the volume does not open: %s",
		show_text(o, "unopened"));
	(void)show_fail(err);
	return r ? r : 1;
}

int cmd_fsck(int argc, char **argv)
{
	struct pluri_err err = {0};
	struct cmd_fsck c = {0};
	const struct args_option options[] = {
		{"--repair", NULL,
			"mend what can be; the volume must not be mounted",
			&c.repair, NULL},
		{"--stop", NULL, "end the check that a mounted volume runs",
			&c.stop, NULL},
		ARGS_JSON(&c.json), {NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"fsck VOLUME [--repair | --stop]",
		"Checks that the metadata agrees with itself and with the "
		"local pack files,\nmounted or not; each finding says what "
		"--repair does about it. What has\nlost its name is put into "
		"/lost+found. No byte that a file shows is dropped.\n"
		"Exit status: 0 clean or all repaired, 1 could not check "
		"or does not open,\n2 findings are left.",
		options, &c.volume, 1, 1};
	const int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	return c.stop ? cmd_stop(&c, &err) : cmd_check(&c, &err);
}
