#include "tools/args.h"
#include "tools/cmd.h"
#include "tools/wait.h"

int cmd_rebalance(int argc, char **argv)
{
	struct wait_move m = {.call = "rebalance", .dry_call = "plan"};
	const struct args_option options[] = {ARGS_JSON(&m.json),
		{"--background", NULL, "return once it runs", &m.background,
			NULL},
		{"--dry-run", NULL, "show what plan does, with the INI applied",
			&m.dry, NULL},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"rebalance VOLUME [--background | --dry-run]",
		"Moves shards to the stores where the policies that were "
		"applied want them, and\nwaits for it. Ctrl-C ends the waiting "
		"only.",
		options, &m.volume, 1, 1};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	return wait_move(&m);
}
