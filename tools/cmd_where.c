#include <string.h>

#include "base/text.h"

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/mountinfo.h"
#include "tools/show.h"

static void cmd_shard(struct show_table *t, const json_t *extent,
	const json_t *shard, bool first)
{
	char bytes[TEXT_SIZE_MAX];

	show_table_cell(
		t, "%s", first ? show_size(extent, "offset", bytes) : "");
	show_table_cell(
		t, "%s", first ? show_size(extent, "length", bytes) : "");
	show_table_cell(t, "%.12s", first ? show_text(extent, "chunk") : "");
	show_table_cell(t, "%.12s", first ? show_text(extent, "pack") : "");
	if (!shard) {
		for (unsigned i = 0; i < 4; i++)
			show_table_cell(t, "%s",
				json_is_true(json_object_get(extent, "hole")) &&
						i == 1
					? "(hole)"
					: "-");
		return;
	}
	show_table_member(t, shard, "index");
	show_table_member(t, shard, "store");
	show_table_member(t, shard, "state");
	show_table_member(t, shard, "object");
}

static int cmd_extents(const json_t *extents)
{
	static const char *const heads[] = {">OFFSET", ">LENGTH", "CHUNK",
		"PACK", ">SHARD", "STORE", "STATE", "OBJECT", NULL};
	struct show_table t;
	const json_t *e, *s;
	size_t i, k;

	show_table_start(&t, heads);
	json_array_foreach(extents, i, e)
	{
		const json_t *shards = json_object_get(e, "shards");

		if (json_array_size(shards) == 0)
			cmd_shard(&t, e, NULL, true);
		json_array_foreach(shards, k, s)
		{
			cmd_shard(&t, e, s, k == 0);
		}
	}
	return show_table_end(&t);
}

/* Extents of one pack have the same reasons: say them once. */
static int cmd_why(const json_t *extents)
{
	static const char *const heads[] = {
		"PACK", "STORE", "CHOSEN", "WHY", NULL};
	const char *last = "";
	struct show_table t;
	const json_t *e, *w;
	size_t i, k;

	show_table_start(&t, heads);
	json_array_foreach(extents, i, e)
	{
		const char *pack = show_text(e, "pack");

		if (strcmp(pack, last) == 0)
			continue;
		last = pack;
		json_array_foreach(json_object_get(e, "why"), k, w)
		{
			show_table_cell(&t, "%.12s", pack);
			show_table_member(&t, w, "store");
			show_table_member(&t, w, "chosen");
			show_table_member(&t, w, "text");
		}
	}
	(void)putchar('\n');
	return show_table_end(&t);
}

static int cmd_ask(
	const char *path, bool explain, json_t **ret, struct pluri_err *err)
{
	struct mountinfo m;
	int r;

	r = mountinfo_find(path, &m, err);
	if (r < 0)
		return r;
	return ask_once(m.config, "where",
		json_pack(
			"{s:s, s:b}", "path", m.path, "explain", (int)explain),
		ret, err);
}

int cmd_where(int argc, char **argv)
{
	ask_auto_json o = NULL;
	struct pluri_err err = {0};
	const char *path = NULL;
	bool json = false;
	bool explain = false;
	const struct args_option options[] = {ARGS_JSON(&json),
		{"--explain", NULL, "say why each store was chosen or not",
			&explain, NULL},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"where PATH [--explain]",
		"Shows which extents, chunks, packs, shards and stores a file "
		"of a mounted\nvolume is made of; - stands for what is not "
		"decided yet.",
		options, &path, 1, 1};
	int r = args_parse(&a, argc, argv);
	char bytes[TEXT_SIZE_MAX];

	if (r)
		return r < 0;
	if (cmd_ask(path, explain, &o, &err) < 0)
		return show_fail(&err);
	if (json)
		return show_json(o);
	show_line(stdout, "%s: inode %llu, %s, policy %s", path,
		(unsigned long long)show_uint(o, "ino"),
		show_size(o, "size", bytes), show_text(o, "policy"));
	r = cmd_extents(json_object_get(o, "extents"));
	if (explain && r == 0)
		r = cmd_why(json_object_get(o, "extents"));
	return r;
}
