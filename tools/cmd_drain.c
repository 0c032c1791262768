#include "tools/args.h"
#include "tools/cmd.h"
#include "tools/wait.h"

int cmd_drain(int argc, char **argv)
{
	const char *words[2] = {NULL, NULL};
	struct wait_move m = {.call = "drain", .dry_call = "drain-plan"};
	const struct args_option options[] = {ARGS_JSON(&m.json),
		{"--background", NULL, "return once it runs", &m.background,
			NULL},
		{"--dry-run", NULL, "show what would be moved", &m.dry, NULL},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"drain VOLUME STORE [--background | --dry-run]",
		"Moves everything away from a store, and waits for it. New "
		"data no longer goes\nthere. Ctrl-C ends the waiting only.",
		options, words, 2, 2};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	m.volume = words[0];
	m.store = words[1];
	return wait_move(&m);
}
