#include <string.h>

#include "base/text.h"

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/show.h"

static void cmd_head(const json_t *s)
{
	const json_t *why = json_object_get(s, "reasons");
	const json_t *line;
	size_t i;

	if (json_is_integer(json_object_get(s, "pid")))
		show_line(stdout, "volume %s: %s, mounted at %s (pid %llu)",
			show_text(s, "volume"), show_text(s, "state"),
			show_text(s, "mounted"),
			(unsigned long long)show_uint(s, "pid"));
	else
		show_line(stdout, "volume %s: %s, not mounted",
			show_text(s, "volume"), show_text(s, "state"));
	json_array_foreach(why, i, line)
	{
		const char *text = json_string_value(line);

		show_line(stdout, "  ! %s", text ? text : "");
	}
}

static void cmd_counts(const json_t *s)
{
	const json_t *packs = json_object_get(s, "packs");
	const json_t *cache = json_object_get(s, "cache");
	const json_t *files = json_object_get(s, "files");
	char a[TEXT_SIZE_MAX];
	char b[TEXT_SIZE_MAX];
	static const char *const bad[] = {"degraded", "unsafe", "unreadable"};

	(void)printf("pending  %s", show_size(s, "pending_bytes", a));
	if (show_uint(s, "oldest_pending_s"))
		(void)printf(", the oldest for %llu s",
			(unsigned long long)show_uint(s, "oldest_pending_s"));
	(void)printf("\nfiles    %llu, %s\n",
		(unsigned long long)show_uint(files, "inodes"),
		show_size(files, "bytes", a));
	(void)printf("packs    %llu, %s: %llu whole",
		(unsigned long long)show_uint(packs, "total"),
		show_size(packs, "bytes", a),
		(unsigned long long)show_uint(packs, "full"));
	for (unsigned i = 0; i < 3; i++)
		if (show_uint(packs, bad[i]))
			(void)printf(", %llu %s",
				(unsigned long long)show_uint(packs, bad[i]),
				bad[i]);
	(void)printf("\ncache    %llu packs, %s of %s\n",
		(unsigned long long)show_uint(cache, "packs"),
		show_size(cache, "bytes", a), show_size(cache, "limit", b));
}

static const char *cmd_reach(const json_t *store)
{
	const json_t *v = json_object_get(store, "reachable");

	return json_is_true(v) ? "yes" : json_is_false(v) ? "NO" : "?";
}

static int cmd_stores(const json_t *s)
{
	static const char *const heads[] = {"STORE", "BACKEND", "PROVIDER",
		"STATE", "REACHED", ">OBJECTS", ">BYTES", ">WANTED", ">MS",
		"TROUBLE", NULL};
	struct show_table t;
	const json_t *st;
	size_t i;

	show_table_start(&t, heads);
	json_array_foreach(json_object_get(s, "stores"), i, st)
	{
		const char *e = show_text(st, "error");
		const char *m = show_text(st, "message");

		show_table_member(&t, st, "name");
		show_table_member(&t, st, "backend");
		show_table_member(&t, st, "provider");
		show_table_member(&t, st, "state");
		show_table_cell(&t, "%s", cmd_reach(st));
		show_table_member(&t, st, "objects");
		show_table_bytes(&t, show_uint(st, "bytes"));
		show_table_member(&t, st, "wanted");
		show_table_member(&t, st, "latency_ms");
		show_table_cell(&t, "%s%s%s", strcmp(e, "none") == 0 ? "" : e,
			*e && *m && strcmp(e, "none") != 0 ? ": " : "", m);
	}
	return show_table_end(&t);
}

static int cmd_state(const json_t *s)
{
	const char *state = show_text(s, "state");

	if (strcmp(state, "ok") == 0)
		return 0;
	return strcmp(state, "warning") == 0 ? 1 : 2;
}

int cmd_status(int argc, char **argv)
{
	ask_auto_json s = NULL;
	struct pluri_err err = {0};
	const char *volume = NULL;
	bool json = false;
	const struct args_option options[] = {
		ARGS_JSON(&json), {NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"status VOLUME",
		"Tells how a volume is: its stores, its redundancy and what is "
		"pending.\nExit status: 0 ok, 1 warning, 2 critical or not to "
		"be learnt.",
		options, &volume, 1, 1};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0 ? 2 : 0;
	if (ask_once(volume, "status", NULL, &s, &err) < 0) {
		(void)show_fail(&err);
		return 2;
	}
	if (json)
		return show_json(s) ? 2 : cmd_state(s);
	cmd_head(s);
	cmd_counts(s);
	(void)putchar('\n');
	return cmd_stores(s) ? 2 : cmd_state(s);
}
