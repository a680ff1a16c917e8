"""What CRM as a whole brings: everybody against the control group, week by week, and the money."""
