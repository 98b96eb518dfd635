"""Internal units of the stream simulators: kpc, Myr, Msun, rad.

With these a halo orbit has coordinates of order ten, velocities of order 0.2 kpc/Myr and times of
order a thousand, so float32 stays usable. Quantities in the units of observers (km/s, deg, mas/yr)
are converted once, at the boundary, with the factors below.
"""

import math

#: Newton's constant [kpc^3 Msun^-1 Myr^-2]: CODATA 2018 G with the IAU 2015 nominal GM_sun.
G = 4.498502151469554e-12
#: One km/s in kpc/Myr: Julian year over pc = 648000/pi au, au = 149597870.7 km (IAU 2012, 2015).
KMS = 1.0227121650456948e-3
#: One degree in rad.
DEG = math.pi / 180.0
#: One milliarcsecond in rad.
MAS = DEG / 3.6e6
#: One mas/yr in rad/Myr.
MAS_PER_YR = MAS * 1e6
#: One Gyr in Myr.
GYR = 1e3
#: One pc in kpc.
PC = 1e-3
