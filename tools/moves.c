#include "base/text.h"

#include "tools/moves.h"
#include "tools/show.h"

static int moves_changes(const json_t *changes)
{
	static const char *const heads[] = {"CHANGE", "NAME", "WHAT", NULL};
	struct show_table t;
	const json_t *c;
	size_t i;

	show_table_start(&t, heads);
	json_array_foreach(changes, i, c)
	{
		show_table_member(&t, c, "kind");
		show_table_member(&t, c, "name");
		show_table_member(&t, c, "text");
	}
	return show_table_end(&t);
}

static int moves_stores(const json_t *stores)
{
	static const char *const heads[] = {
		"STORE", ">IN", ">BYTES IN", ">OUT", ">BYTES OUT", NULL};
	struct show_table t;
	const json_t *s;
	size_t i;

	show_table_start(&t, heads);
	json_array_foreach(stores, i, s)
	{
		show_table_member(&t, s, "store");
		show_table_member(&t, s, "in");
		show_table_bytes(&t, show_uint(s, "bytes_in"));
		show_table_member(&t, s, "out");
		show_table_bytes(&t, show_uint(s, "bytes_out"));
	}
	return show_table_end(&t);
}

int moves_show(const json_t *plan)
{
	const json_t *changes = json_object_get(plan, "changes");
	const json_t *moves = json_object_get(plan, "moves");
	char bytes[TEXT_SIZE_MAX];

	if (moves_changes(changes) != 0)
		return 1;
	if (changes && json_array_size(changes) == 0)
		(void)printf("no changes: the volume is as the INI says\n");
	if (show_uint(moves, "shards") == 0) {
		(void)printf("nothing to move\n");
		return 0;
	}
	(void)printf("to move: %llu shards, %s\n",
		(unsigned long long)show_uint(moves, "shards"),
		show_size(moves, "bytes", bytes));
	return moves_stores(json_object_get(moves, "by_store"));
}
