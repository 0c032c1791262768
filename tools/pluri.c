#include <stdio.h>
#include <string.h>

#include "base/text.h"

#include "tools/cmd.h"

struct pluri_verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct pluri_verb verbs[] = {
	{"create", cmd_create, "make a volume from its INI"},
	{"mount", cmd_mount, "serve a volume at a directory"},
	{"umount", cmd_umount, "flush to the clouds, then unmount"},
	{"status", cmd_status, "health, redundancy and what is pending"},
	{"stats", cmd_stats, "rates, caches, requests, latencies"},
	{"where", cmd_where, "which clouds hold a file, and why"},
	{"sync", cmd_sync, "wait until everything is in the clouds"},
	{"probe", cmd_probe, "try out the stores of an INI"},
	{"policy", cmd_policy, "list the policies of a volume"},
	{"cache", cmd_cache, "clear the local cache"},
	{"plan", cmd_plan, "difference between the INI and the volume"},
	{"apply", cmd_apply, "make the volume what the INI says"},
	{"rebalance", cmd_rebalance, "move shards to where they belong"},
	{"drain", cmd_drain, "move everything away from a store"},
	{"jobs", cmd_jobs, "what runs, and how far it is"},
	{"fsck", cmd_fsck, "check the metadata, and mend it"},
	{NULL, NULL, NULL},
};

static void pluri_help(void)
{
	(void)printf("usage: pluri VERB ...\n\n"
		     "Many clouds, one filesystem.\n\n");
	for (const struct pluri_verb *v = verbs; v->name; v++)
		(void)printf("  %-10s %s\n", v->name, v->help);
	(void)printf("\npluri VERB --help says more; every verb takes --json."
		     "\nVOLUME is the path of an INI file, or a NAME whose "
		     "NAME.ini is looked up in\n$PLURI_CONFIG_DIR, "
		     "~/.config/plurifs and /etc/plurifs.\n");
}

static int pluri_unknown(const char *verb)
{
	const char *names[sizeof(verbs) / sizeof(verbs[0])] = {NULL};
	const char *near;

	for (unsigned i = 0; verbs[i].name; i++)
		names[i] = verbs[i].name;
	near = text_nearest(verb, names);
	(void)fprintf(stderr, "pluri: unknown verb \"%s\"%s%s%s\n", verb,
		near ? "; did you mean \"" : " (see pluri --help)",
		near ? near : "", near ? "\"?" : "");
	return 1;
}

int main(int argc, char **argv)
{
	const char *base = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *verb = argc > 1 ? argv[1] : "";

	base = base ? base + 1 : argc > 0 ? argv[0] : "";
	if (strcmp(base, "mount.fuse.pluri") == 0)
		return cmd_mount_helper(argc, argv);
	if (strcmp(verb, "--version") == 0) {
		(void)printf("pluri %s\n", PLURI_VERSION);
		return 0;
	}
	if (strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0) {
		pluri_help();
		return 0;
	}
	if (*verb == 0) {
		(void)fprintf(stderr, "pluri: what shall be done? See pluri "
				      "--help\n");
		return 1;
	}
	for (const struct pluri_verb *v = verbs; v->name; v++)
		if (strcmp(v->name, verb) == 0)
			return v->run(argc - 1, argv + 1);
	return pluri_unknown(verb);
}
