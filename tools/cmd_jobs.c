#include "base/text.h"

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/show.h"

static int cmd_list(const json_t *jobs)
{
	static const char *const heads[] = {">JOB", "KIND", "STORE", "STATE",
		">SHARDS", ">OF", ">BYTES", ">OF", "MESSAGE", NULL};
	struct show_table t;
	const json_t *j;
	size_t i;

	if (json_array_size(jobs) == 0)
		(void)printf("no jobs\n");
	show_table_start(&t, heads);
	json_array_foreach(jobs, i, j)
	{
		show_table_member(&t, j, "id");
		show_table_member(&t, j, "kind");
		show_table_member(&t, j, "store");
		show_table_member(&t, j, "state");
		show_table_member(&t, j, "shards");
		show_table_member(&t, j, "total_shards");
		show_table_bytes(&t, show_uint(j, "bytes"));
		show_table_bytes(&t, show_uint(j, "total_bytes"));
		show_table_member(&t, j, "message");
	}
	return show_table_end(&t);
}

int cmd_jobs(int argc, char **argv)
{
	ask_auto_json o = NULL;
	struct pluri_err err = {0};
	const char *volume = NULL;
	bool json = false;
	const struct args_option options[] = {
		ARGS_JSON(&json), {NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"jobs VOLUME",
		"Lists the 32 latest jobs of rebalance and drain, and how far "
		"one is that runs.",
		options, &volume, 1, 1};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	if (ask_once(volume, "jobs", NULL, &o, &err) < 0)
		return show_fail(&err);
	return json ? show_json(o) : cmd_list(json_object_get(o, "jobs"));
}
