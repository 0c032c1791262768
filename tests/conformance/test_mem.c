#include "tests/conformance/drive.h"

int main(void)
{
	static const char *const options[] = {"page=100", NULL};
	struct host h;

	host_init(&h, options, NULL);
	return drive("mem", &h, "mem:conformance", 0);
}
