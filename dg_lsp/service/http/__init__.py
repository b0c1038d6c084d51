"""The engine's HTTP endpoints, its own and those compatible with OpenAI's and llama.cpp's."""
