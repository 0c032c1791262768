#include <errno.h>
#include <string.h>

#include "base/text.h"

#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/show.h"

static void cmd_names(struct show_table *t, const json_t *stores)
{
	char text[256] = "";
	size_t n = 0;
	const json_t *s;
	size_t i;

	json_array_foreach(stores, i, s)
	{
		const char *name = json_string_value(s);

		if (name && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n,
				"%s%s", n ? " " : "", name);
	}
	show_table_cell(t, "%s", n ? text : "(all)");
}

static void cmd_amount(struct show_table *t, const json_t *p, const char *key)
{
	if (json_is_integer(json_object_get(p, key)))
		show_table_bytes(t, show_uint(p, key));
	else
		show_table_member(t, p, key);
}

static int cmd_list(const json_t *policies)
{
	static const char *const heads[] = {"POLICY", "LAYOUT", "STORES",
		">PROVIDERS", "DURABILITY", "CHUNKING", "DEDUP", "COMPRESSION",
		">PACK", NULL};
	struct show_table t;
	const json_t *p;
	size_t i;

	show_table_start(&t, heads);
	json_array_foreach(policies, i, p)
	{
		show_table_member(&t, p, "name");
		show_table_member(&t, p, "layout");
		cmd_names(&t, json_object_get(p, "stores"));
		show_table_member(&t, p, "min_providers");
		show_table_member(&t, p, "durability");
		show_table_member(&t, p, "chunking");
		show_table_member(&t, p, "dedup");
		show_table_member(&t, p, "compression");
		cmd_amount(&t, p, "pack");
	}
	return show_table_end(&t);
}

int cmd_policy(int argc, char **argv)
{
	ask_auto_json o = NULL;
	struct pluri_err err = {0};
	const char *words[2] = {NULL, NULL};
	bool json = false;
	const struct args_option options[] = {
		ARGS_JSON(&json), {NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"policy list VOLUME",
		"Lists the policies of a volume: how files become shards, and "
		"where those go.",
		options, words, 2, 2};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	if (strcmp(words[0], "list") != 0) {
		(void)pluri_fail(&err, EINVAL,
			"policy knows \"list\" only, not \"%.80s\"", words[0]);
		return show_fail(&err);
	}
	if (ask_once(words[1], "policy-list", NULL, &o, &err) < 0)
		return show_fail(&err);
	return json ? show_json(o) : cmd_list(json_object_get(o, "policies"));
}
