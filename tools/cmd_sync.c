#include "tools/args.h"
#include "tools/cmd.h"
#include "tools/mountinfo.h"
#include "tools/show.h"
#include "tools/wait.h"

int cmd_sync(int argc, char **argv)
{
	pluri_auto(ask) k = NULL;
	ask_auto_json o = NULL;
	struct pluri_err err = {0};
	struct mountinfo m;
	const char *path = NULL;
	bool json = false;
	const struct args_option options[] = {
		ARGS_JSON(&json), {NULL, NULL, NULL, NULL, NULL}};
	const struct args a = {"sync PATH",
		"Waits until everything written to the volume that PATH lies "
		"in is in the clouds.\nA store that is down is named, and not "
		"waited for where others suffice. Ctrl-C\nends the waiting "
		"only.",
		options, &path, 1, 1};
	int r = args_parse(&a, argc, argv);

	if (r)
		return r < 0;
	r = mountinfo_find(path, &m, &err);
	if (r == 0)
		r = ask_new(m.config, 0, &k, &err);
	if (r == 0)
		r = wait_kernel(m.dir, true, &err);
	if (r == 0)
		r = wait_sync(k, json, &o, &err);
	if (r < 0)
		return show_fail(&err);
	if (json)
		return show_json(o);
	(void)printf("sync: everything is in the clouds\n");
	return 0;
}
