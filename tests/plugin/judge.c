#include <stdlib.h>

#include "backends/registry.h"

#include "tests/conformance/drive.h"

/* judge conform NAME URL | judge refuse NAME TEXT-OF-THE-MESSAGE */
int main(int argc, char **argv)
{
	const struct pluri_backend_ops *ops = NULL;
	struct pluri_err err = {0};
	struct host h;

	if (argc != 4)
		return 2;
	host_init(&h, NULL, NULL);
	if (strcmp(argv[1], "conform") == 0)
		return drive(argv[2], &h, argv[3], 500);
	if (registry_find(argv[2], &ops, &err) == 0) {
		printf("# %s was not refused\n", argv[2]);
		return 1;
	}
	printf("# %s\n", err.text);
	return strstr(err.text, argv[3]) == NULL;
}
