#include "tools/args.h"
#include "tools/ask.h"
#include "tools/cmd.h"
#include "tools/moves.h"
#include "tools/show.h"

int cmd_apply(int argc, char **argv)
{
	pluri_auto(ask) k = NULL;
	ask_auto_json o = NULL;
	struct pluri_err err = {0};
	const char *volume = NULL;
	bool json = false;
	bool dry = false;
	const struct args_option options[] = {ARGS_JSON(&json),
		{"--dry-run", NULL, "show it as plan does, change nothing",
			&dry, NULL},
		{NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"apply VOLUME [--dry-run]",
		"Makes the volume's stores and policies what the INI says. "
		"Nothing is moved yet:\npluri rebalance does that.",
		options, &volume, 1, 1};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	r = ask_new(volume, 1, &k, &err);
	if (r == 0)
		r = ask_call(
			k, dry ? "plan" : "apply", ask_config(k), &o, &err);
	if (r < 0)
		return show_fail(&err);
	return json ? show_json(o) : moves_show(o);
}
