#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/conformance.h"
#include "backends/registry.h"

#include "tests/conformance/drive.h"

struct drive {
	unsigned n;
};

static void drive_report(
	void *arg, const char *name, bool ok, const char *story)
{
	struct drive *d = arg;
	const bool skipped = ok && story[0];

	printf("%s %u - %s%s%s\n", ok ? "ok" : "not ok", ++d->n, name,
		skipped ? " # SKIP " : "", skipped ? story : "");
	if (!ok)
		printf("# %s\n", story);
	(void)fflush(stdout);
}

int drive(const char *backend, struct host *h, const char *url, unsigned keys)
{
	struct drive d = {0};
	struct conformance c = {.host = &h->host,
		.url = url,
		.list_keys = keys,
		.report = drive_report,
		.arg = &d};
	struct pluri_err err = {0};
	int r;

	r = registry_find(backend, &c.ops, &err);
	if (r == 0) {
		printf("1..%u\n", conformance_count());
		r = conformance_run(&c, &err);
	}
	if (r < 0)
		printf("%s%s\n", d.n ? "# " : "Bail out! ", err.text);
	return r < 0;
}

const char *drive_dir(char to[256])
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(to, 256, "%s/plurifs-test-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(to)) {
		printf("Bail out! %s: %s\n", to, strerror(errno));
		exit(1);
	}
	return to;
}

static int drive_drop(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void drive_remove(const char *dir)
{
	(void)nftw(dir, drive_drop, 16, FTW_DEPTH | FTW_PHYS);
}
