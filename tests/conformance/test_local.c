#include "tests/conformance/drive.h"

int main(void)
{
	char dir[256];
	struct host h;
	int status;

	host_init(&h, NULL, NULL);
	status = drive("local", &h, drive_dir(dir), 0);
	drive_remove(dir);
	return status;
}
