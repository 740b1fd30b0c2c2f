/*
 * Text that clients have written, and that a terminal is going to get: what it would act on becomes question marks. (Control characters below a space are
 * escaped already, as JSON has it; left are DEL, and U+0080 to U+009F, which some terminals take for the beginning of a sequence.)
 */
#include "master/ctl/ctl.h"

void ctl_tame(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p == 0x7f)
			*p = '?';
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = '?';
}
