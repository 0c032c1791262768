#include "tests/conformance/drive.h"

int main(void)
{
	struct host h;

	host_init(&h, NULL, NULL);
	return drive("fault", &h, "fault:mem:mem:conformance", 0);
}
