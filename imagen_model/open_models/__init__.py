"""Models of others: any diffusers text-to-image pipeline behind the one verb.

`options`, `folder`, `signature`, `call_form` and `rules` say from files alone what a model is and takes, without torch;
`loading`, `generator` and what they import draw the pictures, in workers.
"""
